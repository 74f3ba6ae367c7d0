"""What a metric is, and the state of training that it is computed from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from engine.metrics._weights import Weights


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
    """

    label: str
    unit: str
    formula: str
    source: str
    log: bool
    compute: Callable[["State"], Float[Tensor, " seeds"] | None]


@dataclass(frozen=True)
class State:
    """All replicas of one stack at one step; what several metrics need is computed once.

    Attributes:
        weights: the stacked weights.
        own_losses: returns each replica's mean loss over the batches of its epoch, at these weights.
        logits: returns every replica's logits on given examples, normalized as one batch.
        train: inputs and labels of the training rows.
        test: inputs and labels of the held-out rows.
        gradients: gradient of the step just taken; None before the first.
        updates: change of the parameters by that step; None before the first.
    """

    weights: Weights
    own_losses: Callable[[], Float[Tensor, " seeds"]]
    logits: Callable[[Tensor], Float[Tensor, "seeds examples classes"]]
    train: tuple[Float[Tensor, "examples *features"], Int[Tensor, " examples"]]
    test: tuple[Float[Tensor, "held_out *features"], Int[Tensor, " held_out"]]
    gradients: dict[str, Tensor] | None
    updates: dict[str, Tensor] | None

    @cached_property
    def test_logits(self) -> Float[Tensor, "seeds held_out classes"]:
        """Logits of the held-out rows, with the statistics of all of them."""
        return self.logits(self.test[0])


def cross_entropy(
    logits: Float[Tensor, "seeds examples classes"], labels: Int[Tensor, " examples"]
) -> Float[Tensor, " seeds"]:
    """Return each replica's mean cross-entropy in nats."""
    everyone = labels.expand(len(logits), -1)
    return functional.cross_entropy(logits.transpose(1, 2), everyone, reduction="none").mean(1)


def global_norm(tensors: dict[str, Tensor]) -> Float[Tensor, " seeds"]:
    """Return each replica's Euclidean norm over all its tensors together."""
    squares = [value.flatten(1).double().square().sum(1) for value in tensors.values()]
    return torch.stack(squares).sum(0).sqrt()
