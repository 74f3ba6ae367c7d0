"""Replicas of one architecture stacked along a leading axis and evaluated together."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, jacrev, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from engine.at_once import at_once
from engine.losses import losses
from engine.tasks import Task

Stacked = dict[str, Tensor]
Build = Callable[[], nn.Module]
Step = Callable[[Stacked, Tensor, Tensor], tuple[Stacked, Tensor]]


_NONLINEAR = (nn.ReLU, nn.GELU, nn.Tanh, nn.SiLU, nn.Sigmoid, nn.LeakyReLU, nn.Softplus)


class StepResult(NamedTuple):
    """What optimizer steps saw.

    Attributes:
        losses: mean loss of each replica's batch, before the update.
        gradients: its gradient by parameter name, stacked like the parameters.
    """

    losses: Float[Tensor, "*steps seeds"]
    gradients: Stacked


class Ensemble:
    """Replicas that share an architecture and differ in their weights.

    Every operation acts on each replica alone: the gradients of one are those of ordinary training,
    and a NaN in one never reaches another.

    Args:
        build: returns a freshly initialized module.
        seeds: the seed of each replica, repeated where arms share it; torch is seeded with it before `build`.
        device: where the weights live.
        dtype: their precision; initial weights are drawn in float32 and converted, so that they are
            the same numbers in every precision and on every device.
        task: what the targets are, and with it the loss.
        autocast: whether the training step runs its matrix products in bfloat16.
        consistency: weight of the penalty mean ||h_{t+1} - h_t||^2 on the states of a recurrent net.
        compiled: whether torch compiles the recorded step; needs a C++ compiler, on a GPU Triton.
    """

    def __init__(
        self,
        build: Build,
        seeds: Sequence[int],
        device: torch.device,
        dtype: torch.dtype,
        task: Task = "classes",
        autocast: bool = False,
        consistency: float = 0.0,
        compiled: bool = False,
    ) -> None:
        with torch.device("meta"):
            self.skeleton = build().to(dtype)
        self.parameters = initial(build, seeds, device, dtype)
        self._task, self._autocast, self._consistency = task, autocast, consistency
        # Compiled code has a fixed number of replicas: where some left, the first stands in for them.
        self._compiled, self._places = compiled, len(seeds)
        self._captured: dict[tuple[torch.Size, torch.dtype], Step] = {}

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    def forward(self, parameters: Mapping[str, Tensor], inputs: Num[Tensor, "examples *example"]) -> Tensor:
        """Return the outputs of one replica, whose parameters have no leading axis."""
        outputs: Tensor = functional_call(self.skeleton, dict(parameters), (inputs,))
        return outputs

    def _example_losses(self, parameters: Stacked, inputs: Tensor, targets: Tensor) -> Tensor:
        return losses(self._task, self.forward(parameters, inputs), targets)

    def _objective(self, parameters: Stacked, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is minimized, and the mean loss that is reported, which has no penalty in it."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self._autocast):
            if not self._consistency:
                outputs, penalty = self.forward(parameters, inputs), None
            else:
                with self._watched(["trajectory"]) as seen:
                    outputs = self.forward(parameters, inputs)
                states = seen["trajectory"][0]
                penalty = self._consistency * (states[:, 1:] - states[:, :-1]).square().sum(-1).mean()
        if self._autocast:
            outputs = outputs.float()
        loss = losses(self._task, outputs, targets).mean()
        return (loss if penalty is None else loss + penalty.to(loss.dtype)), loss

    @contextmanager
    def _watched(self, names: Sequence[str]) -> Iterator[dict[str, list[Tensor]]]:
        """Collect what the modules of these names return while the block runs."""
        seen: dict[str, list[Tensor]] = {name: [] for name in names}
        modules = dict(self.skeleton.named_modules())

        def watch(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            return lambda module, inputs, output: seen[name].append(output)

        handles = [modules[name].register_forward_hook(watch(name)) for name in names]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()

    def gradients(
        self, inputs: Num[Tensor, "seeds batch *example"], targets: Num[Tensor, "seeds batch *target"]
    ) -> StepResult:
        """Return each replica's loss on its own batch, and the gradient of what it minimizes.

        The transformed function is recorded once per batch shape as a flat list of tensor operations:
        replaying it spares the interpreter layers of ``vmap(grad(...))``, about a third of a step at 64
        replicas. A recording that does not reproduce the transformed function bit for bit is not used.
        """
        parameters, alive = self.parameters, len(self)
        if self._compiled and alive < self._places:
            places = torch.arange(self._places, device=inputs.device)
            places = torch.where(places < alive, places, 0)
            inputs, targets = inputs[places], targets[places]
            parameters = {name: value[places] for name, value in parameters.items()}
        key = (inputs.shape, inputs.dtype)
        if key not in self._captured:
            self._captured[key] = self._capture(parameters, inputs, targets)
        gradients, seen = self._captured[key](parameters, inputs, targets)
        if len(seen) > alive:
            gradients, seen = {name: value[:alive] for name, value in gradients.items()}, seen[:alive]
        return StepResult(seen, gradients)

    def transformed(self, parameters: Stacked, inputs: Tensor, targets: Tensor) -> tuple[Stacked, Tensor]:
        """Return gradients and losses by torch's function transforms, unrecorded."""
        stacked = vmap(grad_and_value(self._objective, has_aux=True))
        gradients, (_, seen) = stacked(parameters, inputs, targets)
        return gradients, seen

    def record(
        self, tracing_mode: Literal["real", "fake"]
    ) -> Callable[[Stacked, Tensor, Tensor], torch.fx.GraphModule]:
        """Return what records :meth:`transformed` as a list of operations, on real tensors or fake ones."""
        record: Callable[[Stacked, Tensor, Tensor], torch.fx.GraphModule] = make_fx(
            lambda parameters, inputs, targets: self.transformed(parameters, inputs, targets),
            tracing_mode=tracing_mode,
        )
        return record

    def _capture(self, parameters: Stacked, inputs: Tensor, targets: Tensor) -> Step:
        recorded = self.record("real")(parameters, inputs, targets)
        for node in recorded.graph.nodes:
            if node.target == torch.ops.aten.detach.default:  # nothing is differentiated any more
                node.replace_all_uses_with(node.args[0])
        recorded.graph.eliminate_dead_code()
        recorded.recompile()
        expected, _ = self.transformed(parameters, inputs, targets)
        got, _ = recorded(parameters, inputs, targets)
        same = all(
            torch.allclose(expected[name], got[name], rtol=0, atol=0, equal_nan=True) for name in expected
        )
        if not same:
            return self.transformed
        if self._compiled:
            # On 2 CPU cores a step of 64 replicas of the demo study took 3.4 ms for 5.6 ms; compiling it took
            # 23 s once, and 3.5 s where torch found it in its cache.
            step: Step = torch.compile(recorded, dynamic=False)
            return step
        return recorded

    def example_gradients(
        self,
        which: Int[Tensor, " some"],
        inputs: Num[Tensor, "some batch *example"],
        targets: Num[Tensor, "some batch *target"],
    ) -> Float[Tensor, "some batch entries"]:
        """Return the gradient of every example's own loss within its batch, all parameters side by side.

        Where examples meet in a normalization, the loss of one is taken with the statistics of its batch.
        """
        chosen = {name: value[which] for name, value in self.parameters.items()}
        return self.transformed_examples(chosen, inputs, targets)

    def transformed_examples(self, parameters: Stacked, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return what :meth:`example_gradients` returns, of these parameters."""
        rows: Stacked = vmap(jacrev(self._example_losses))(parameters, inputs, targets)
        return torch.cat([value.flatten(2) for value in rows.values()], 2)

    def outputs(self, inputs: Num[Tensor, "examples *example"]) -> Float[Tensor, "seeds examples *output"]:
        """Return every replica's outputs on the same examples, normalized as one batch."""
        forward = vmap(self.forward, in_dims=(0, None), chunk_size=at_once(inputs))
        outputs: Tensor = forward(self.parameters, inputs)
        return outputs

    def hidden(
        self, inputs: Num[Tensor, "examples *example"]
    ) -> dict[str, Float[Tensor, "seeds examples *units"]]:
        """Return the output of every nonlinearity, by its module's name; calls of one module side by side."""
        named = self.skeleton.named_modules()
        names = [name for name, module in named if isinstance(module, _NONLINEAR)]

        def watch(parameters: Stacked, inputs: Tensor) -> Stacked:
            with self._watched(names) as seen:
                self.forward(parameters, inputs)
            calls = {name: values for name, values in seen.items() if values}
            return {
                name: values[0] if len(values) == 1 else torch.stack(values, 1)
                for name, values in calls.items()
            }

        if not names:
            return {}
        seen: Stacked = vmap(watch, in_dims=(0, None), chunk_size=at_once(inputs))(self.parameters, inputs)
        return seen

    def batch_losses(
        self,
        inputs: Num[Tensor, "examples *example"],
        targets: Num[Tensor, "examples *target"],
        batches: Int[Tensor, "seeds batches batch"],
    ) -> Float[Tensor, "seeds batches"]:
        """Return each replica's mean loss on each of its batches, given by its examples, at fixed weights."""

        def mean(parameters: Stacked, batch: Tensor) -> Tensor:
            return self._example_losses(parameters, inputs[batch], targets[batch]).mean()

        # A replica's batches together are a copy of the data, so that copies too are made a few at a time.
        forward = vmap(vmap(mean, in_dims=(None, 0)), chunk_size=at_once(inputs))
        means: Tensor = forward(self.parameters, batches)
        return means

    def snapshot(self) -> "Ensemble":
        """Return a copy at the present weights, which another thread may evaluate while this one trains."""
        return self.at({name: value.clone() for name, value in self.parameters.items()})

    def at(self, parameters: Stacked) -> "Ensemble":
        """Return the same architecture at other weights."""
        copied = copy.copy(self)
        copied.parameters, copied._captured = parameters, {}
        # functional_call puts the weights into the module for the length of the call, so it is not shared.
        copied.skeleton = copy.deepcopy(self.skeleton)
        return copied

    def keep(self, alive: Bool[Tensor, " seeds"]) -> None:
        """Drop the replicas that are not alive; the others keep their order."""
        self.parameters = {name: value[alive] for name, value in self.parameters.items()}
        if not self._compiled:
            self._captured.clear()


def initial(build: Build, seeds: Sequence[int], device: torch.device, dtype: torch.dtype) -> Stacked:
    """Return freshly initialized stacked parameters, a function of each replica's seed alone.

    Raises:
        ValueError: the module has buffers, which stacking would have to update.
    """
    modules: dict[int, nn.Module] = {}
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            if seed not in modules:
                torch.manual_seed(seed)
                modules[seed] = build().to(dtype)
    parameters, buffers = stack_module_state([modules[seed] for seed in seeds])
    if buffers:
        raise ValueError(
            f"`build` must return a module without buffers; got {sorted(buffers)}. Batch normalization "
            "keeps no running statistics here: use engine.models._batch_norm."
        )
    return {name: value.detach().to(device) for name, value in parameters.items()}
