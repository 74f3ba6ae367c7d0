"""Replicas of one architecture stacked along a leading axis and stepped together."""

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

Stacked = dict[str, Tensor]


# Evaluations see all rows at once. On a CPU a few replicas at a time keep the activations small: for 32
# replicas of the demo study an evaluation took 0.25 to 0.27 s, where all in one call took 0.28 s. A GPU
# wants them all.
_CACHED_BYTES = 1 << 20


class StepResult(NamedTuple):
    """What optimizer steps saw.

    Attributes:
        losses: mean cross-entropy in nats of each replica's batch, before the update.
        gradients: its gradient by parameter name, stacked like the parameters.
    """

    losses: Float[Tensor, "*steps seeds"]
    gradients: Stacked


class Ensemble:
    """Replicas that share an architecture and differ in their weights.

    Every operation acts on each replica alone: the gradients of one are those of ordinary training,
    and a NaN in one never reaches another.

    Args:
        build: returns a freshly initialized module; called once a seed, after seeding torch with it.
        seeds: the seed of each replica, repeated where arms share it.
        device: where the weights live.
        dtype: their precision; initial weights are drawn in float32 and converted, so that they are
            the same numbers in every precision and on every device.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        seeds: Sequence[int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
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
        self.parameters: Stacked = {name: value.detach().to(device) for name, value in parameters.items()}
        self._skeleton = next(iter(modules.values())).to("meta")
        self._captured: dict[tuple[torch.Size, torch.dtype], Callable[..., tuple[Stacked, Tensor]]] = {}

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    def _logits(self, parameters: Stacked, inputs: Tensor) -> Tensor:
        logits: Tensor = functional_call(self._skeleton, parameters, (inputs,))
        return logits

    def _loss(self, parameters: Stacked, inputs: Tensor, labels: Tensor) -> Tensor:
        # functional.cross_entropy would look for labels to ignore: 17 of the 231 operations of a step.
        logp = functional.log_softmax(self._logits(parameters, inputs), 1)
        return -logp.gather(1, labels[:, None]).mean()

    def gradients(
        self, inputs: Float[Tensor, "seeds batch *features"], labels: Int[Tensor, "seeds batch"]
    ) -> StepResult:
        """Return each replica's loss on its own batch, and its gradient.

        The transformed function is recorded once per batch shape as a flat list of tensor operations:
        replaying it spares the interpreter layers of ``vmap(grad(...))``, about a third of a step at 64
        replicas. A recording that does not reproduce the transformed function bit for bit is not used.
        """
        key = (inputs.shape, inputs.dtype)
        if key not in self._captured:
            self._captured[key] = self._capture(inputs, labels)
        gradients, losses = self._captured[key](self.parameters, inputs, labels)
        return StepResult(losses, gradients)

    def _capture(self, inputs: Tensor, labels: Tensor) -> Callable[..., tuple[Stacked, Tensor]]:
        stacked = vmap(grad_and_value(self._loss))

        def transformed(parameters: Stacked, inputs: Tensor, labels: Tensor) -> tuple[Stacked, Tensor]:
            gradients, losses = stacked(parameters, inputs, labels)
            return gradients, losses

        recorded = make_fx(transformed)(self.parameters, inputs, labels)
        for node in recorded.graph.nodes:
            if node.target == torch.ops.aten.detach.default:  # nothing is differentiated any more
                node.replace_all_uses_with(node.args[0])
        recorded.graph.eliminate_dead_code()
        recorded.recompile()
        expected = transformed(self.parameters, inputs, labels)
        got = recorded(self.parameters, inputs, labels)
        same = all(
            torch.allclose(expected[0][name], got[0][name], rtol=0, atol=0, equal_nan=True)
            for name in expected[0]
        )
        return recorded if same else transformed

    def logits(self, inputs: Float[Tensor, "examples *features"]) -> Float[Tensor, "seeds examples classes"]:
        """Return every replica's logits on the same examples, normalized as one batch."""
        forward = vmap(self._logits, in_dims=(0, None), chunk_size=_replicas_at_once(inputs))
        logits: Tensor = forward(self.parameters, inputs)
        return logits

    def batch_losses(
        self,
        inputs: Float[Tensor, "seeds batches batch *features"],
        labels: Int[Tensor, "seeds batches batch"],
    ) -> Float[Tensor, "seeds batches"]:
        """Return each replica's loss on each of its batches at fixed weights."""
        over_batches = vmap(self._loss, in_dims=(None, 0, 0))
        forward = vmap(over_batches, chunk_size=_replicas_at_once(inputs[0]))
        losses: Tensor = forward(self.parameters, inputs, labels)
        return losses

    def snapshot(self) -> "Ensemble":
        """Return a copy at the present weights, which another thread may evaluate while this one trains."""
        copied = Ensemble.__new__(Ensemble)
        copied.parameters = {name: value.clone() for name, value in self.parameters.items()}
        # functional_call puts the weights into the module for the length of the call, so it is not shared.
        copied._skeleton = copy.deepcopy(self._skeleton)
        copied._captured = {}
        return copied

    def keep(self, alive: Bool[Tensor, " seeds"]) -> None:
        """Drop the replicas that are not alive; the others keep their order."""
        self.parameters = {name: value[alive] for name, value in self.parameters.items()}
        self._captured.clear()


def _replicas_at_once(inputs: Tensor) -> int | None:
    """Return how many replicas to evaluate together on inputs of this size; None for all."""
    if inputs.device.type != "cpu":
        return None
    return max(1, _CACHED_BYTES // (inputs.numel() * inputs.element_size()))
