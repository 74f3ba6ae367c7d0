"""Test accuracy of every replica."""

import torch
from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the share of held-out rows whose largest logit is their class; rows normalized as one batch."""
    logits, labels = state.test_logits, state.test[1]
    accuracy = (logits.argmax(2) == labels).to(logits.dtype).mean(1)
    return torch.where(logits.isfinite().flatten(1).all(1), accuracy, torch.nan)


METRIC = Metric(
    label="Test accuracy",
    unit="",
    formula="share of held-out rows whose largest logit is their class; rows normalized as one batch",
    source="the usual definition",
    log=False,
    compute=compute,
)
