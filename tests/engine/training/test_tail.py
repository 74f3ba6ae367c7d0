import numpy as np
import pytest
import torch

from engine.training.tail import TailAverage
from tests.engine.training.toys import ROWS, ran, seeds, stack_of, toy


@pytest.mark.parametrize("epochs", [1, 2, 5, 8])
def test_it_is_the_mean_of_the_starts_of_the_epochs_after_half(epochs):
    iterates = torch.randn(epochs, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tail, taken = TailAverage(epochs), []
    for k in range(1, epochs + 1):
        tail.see(k - 1, {"w": iterates[k - 1]})
        taken += [iterates[k - 1]] if k > epochs / 2 else []
        mean = tail.mean()
        if not taken:
            assert mean is None
        else:
            torch.testing.assert_close(mean["w"], sum(taken) / len(taken), rtol=1e-14, atol=1e-14)
    assert taken


def test_what_it_returns_does_not_move():
    tail = TailAverage(1)
    tail.see(0, {"w": torch.ones(1, 2)})
    mean = tail.mean()
    tail.see(0, {"w": torch.zeros(1, 2)})
    assert (mean["w"] == 1).all()
    assert (tail.mean()["w"] == 0.5).all()


@pytest.mark.parametrize(
    ("ordering", "every", "rounds"),
    [({"ordering": "RR"}, 2, 6), ({"ordering": "RS2", "fraction": 0.25, "batch_size": 7}, 1, 24)],
)
def test_of_a_training(ordering, every, rounds):
    """The last half of the rounds: an epoch of RS2 is a subset, of which there are more than epochs."""
    steps = every * rounds
    study = toy(
        **{
            "model_settings": {"width": 4, "depth": 1, "norm": "none"},
            "batch_size": 13,
            "epochs": 6,
            "evaluate_every": 1,
            "cadence": {"tail_average_risk": 1},
            "checkpoints": tuple(range(steps + 1)),
        }
        | ordering
    )
    assert study.steps == steps
    got = ran(study, seeds(study, 0, 1))
    starts = [step for step in range(0, steps, every) if step // every + 1 > rounds / 2]
    assert min(got.column("tail_average_risk")) == starts[0] + 1
    stack = stack_of(study, seeds(study, 0))
    inputs, targets = stack._data.train
    mean = {
        name: torch.from_numpy(np.mean([got.kept[0, start][name] for start in starts], 0))
        for name in got.kept[0, 0]
    }
    loss = torch.nn.functional.cross_entropy(stack.ensemble.forward(mean, inputs), targets).item()
    assert len(inputs) == ROWS
    assert got.rows[0, steps]["tail_average_risk"] == pytest.approx(loss, abs=1e-12)
