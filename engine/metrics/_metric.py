"""What a metric is, and the state of training that it is computed from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.func import vmap

from engine.losses import correct, losses
from engine.metrics._weights import Weights
from engine.tasks import Task


@dataclass(frozen=True)
class Metric:
    """A quantity of every run at a step.

    Attributes:
        label: what axes and tables call it.
        unit: its unit, or "" where it has none.
        formula: how it is computed, in one line.
        source: who defined it.
        log: whether it is normally drawn on a logarithmic axis.
        compute: from the state of training to one value a replica; None where there is none at this step.
        default: whether it is measured where a study does not ask for it; False for one that costs much or
            that few models have.
        layers: the same for each layer by itself, by the layer's name; None where that means nothing.
        needs: what a model or data set must have for it, to be read after "needs"; empty where all have it.
    """

    label: str
    unit: str
    formula: str
    source: str
    log: bool
    compute: Callable[["State"], Float[Tensor, " seeds"] | None]
    default: bool = True
    layers: Callable[["State"], Mapping[str, Float[Tensor, " seeds"]]] | None = None
    needs: str = ""


class Optima(NamedTuple):
    """Least-squares optima of a read-out M on fixed normalized features; see ``engine.analysis.shuffling``.

    Attributes:
        own: on the batches of each replica's own first permutation (Single Shuffle).
        reshuffled: on all subsets of the batch size, or a sample of them (Random Reshuffle).
        full: on the full batch (gradient descent).
    """

    own: Float[Tensor, "seeds outputs features"]
    reshuffled: Float[Tensor, "outputs features"]
    full: Float[Tensor, "outputs features"]


@dataclass(frozen=True)
class State:
    """All replicas of one stack at one step; what several metrics need is computed once.

    Attributes:
        task: what the targets are, and with it the loss.
        weights: the stacked weights.
        parameters: all stacked parameters by name.
        initial: the same before the first step.
        forward: ``forward(parameters, inputs)`` of one replica, without the leading axis; for transforms.
        own_losses: returns each replica's mean loss over the batches of its epoch, at these weights.
        outputs: returns every replica's outputs on given examples, normalized as one batch.
        hidden: returns the output of every nonlinearity on given examples, by its module's name.
        train: inputs and targets of the training rows.
        test: inputs and targets of the held-out rows; none of either where there is no held-out part.
        gradients: gradient of the step just taken; None before the first.
        updates: change of the parameters by that step; None before the first.
        twin_growth: mean over the steps since the last evaluation of the log growth of the distance to a twin
            that began next to each replica; None unless the study asks for ``lyapunov``.
        tail: mean of the parameters at the starts of the epochs in the second half of training; None before
            that, or unless the study asks for a metric of it.
        matrix: the read-out M of a linear model on fixed features, with `features` and `optima`; None for
            other models.
        tail_matrix: the same read-out at `tail`; None without either.
        optima: of that read-out under squared error; None for other tasks.
        features: of the training rows normalized as one batch, that the read-out acts on.
    """

    task: Task
    weights: Weights
    parameters: Mapping[str, Tensor]
    initial: Mapping[str, Tensor]
    forward: Callable[[Mapping[str, Tensor], Tensor], Tensor]
    own_losses: Callable[[], Float[Tensor, " seeds"]]
    outputs: Callable[[Tensor], Float[Tensor, "seeds examples *output"]]
    hidden: Callable[[Tensor], Mapping[str, Float[Tensor, "seeds examples *units"]]]
    train: tuple[Num[Tensor, "examples *example"], Num[Tensor, "examples *target"]]
    test: tuple[Num[Tensor, "held_out *example"], Num[Tensor, "held_out *target"]]
    gradients: Mapping[str, Tensor] | None = None
    updates: Mapping[str, Tensor] | None = None
    twin_growth: Float[Tensor, " seeds"] | None = None
    tail: Mapping[str, Tensor] | None = None
    matrix: Float[Tensor, "seeds outputs features"] | None = None
    tail_matrix: Float[Tensor, "seeds outputs features"] | None = None
    optima: Optima | None = None
    features: Float[Tensor, "examples features"] | None = None

    @cached_property
    def train_outputs(self) -> Float[Tensor, "seeds examples *output"]:
        """Outputs of the training rows, with the statistics of all of them."""
        return self.outputs(self.train[0])

    @cached_property
    def test_outputs(self) -> Float[Tensor, "seeds held_out *output"] | None:
        """Outputs of the held-out rows, with the statistics of all of them; None where there are none."""
        return self.outputs(self.test[0]) if len(self.test[0]) else None


def mean_loss(
    task: Task, outputs: Float[Tensor, "seeds examples *output"], targets: Num[Tensor, "examples *target"]
) -> Float[Tensor, " seeds"]:
    """Return each replica's mean loss over examples, in nats or in squared units of the targets."""
    return vmap(lambda one: losses(task, one, targets).mean())(outputs)


def accuracy(
    task: Task, outputs: Float[Tensor, "seeds examples *output"], targets: Num[Tensor, "examples *target"]
) -> Float[Tensor, " seeds"] | None:
    """Return the share of examples classified correctly: NaN of outputs not finite, None of values."""
    if task == "values":
        return None
    shares = vmap(lambda one: correct(task, one, targets).to(one.dtype).mean())(outputs)
    return torch.where(outputs.isfinite().flatten(1).all(1), shares, torch.nan)


def global_norm(tensors: Mapping[str, Tensor]) -> Float[Tensor, " seeds"]:
    """Return each replica's Euclidean norm over all its tensors together."""
    squares = [value.flatten(1).double().square().sum(1) for value in tensors.values()]
    return torch.stack(squares).sum(0).sqrt()
