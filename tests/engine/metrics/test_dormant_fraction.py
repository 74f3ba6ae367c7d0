"""Dormant units of hand-made activations."""

import pytest
import torch

from engine.metrics import metrics
from engine.metrics._dormancy import dormant, scores
from engine.metrics.dormant_fraction import ROWS
from tests.engine.metrics.example import SEEDS, random, state


def test_the_score_is_the_share_of_the_mean_activity():
    activity = torch.tensor([[[4.0, 0, -1, 3], [-4, 0, 1, 1]]])
    # E|h| = 4, 0, 1, 2; their mean is 1.75.
    assert scores({"relu": activity})["relu"][0].tolist() == pytest.approx([4 / 1.75, 0, 1 / 1.75, 2 / 1.75])
    assert dormant({"relu": activity}, 0.0)["relu"].tolist() == [[False, True, False, False]]
    assert dormant({"relu": activity}, 0.6)["relu"].tolist() == [[False, True, True, False]]


def test_where_all_units_are_silent_all_are_dormant():
    assert dormant({"relu": torch.zeros(2, 3, 4)}, 0.0)["relu"].all()


def test_channels_are_units_of_images_and_the_last_axis_of_sequences():
    image = torch.ones(1, 2, 3, 4, 5)
    image[:, :, 1] = 0
    assert dormant({"relu": image}, 0.0)["relu"].tolist() == [[False, True, False]]
    sequence = torch.ones(1, 2, 3, 4)
    sequence[..., 3] = 0
    assert dormant({"relu": sequence}, 0.0)["relu"].tolist() == [[False, False, False, True]]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_no_unit_of_a_replica_that_is_not_finite_is_dormant(bad):
    outputs = torch.zeros(3, 2, 4)
    outputs[:, :, 0] = 1
    outputs[1, 0, 2] = bad
    assert dormant({"relu": outputs}, 0.5)["relu"].sum(1).tolist() == [3, 0, 3]


def test_a_model_without_nonlinearities_has_no_dormant_fraction():
    linear = state(hidden=lambda inputs: {})
    assert metrics()["dormant_fraction"].compute(linear) is None
    assert metrics()["dormant_fraction"].layers(linear) == {}


def test_only_the_first_rows_are_looked_at():
    seen = []

    def hidden(inputs):
        seen.append(inputs)
        return {"relu": torch.ones(SEEDS, len(inputs), 2)}

    rows = random(1, ROWS + 9, 1, 3, 3)
    now = state(hidden=hidden, train=(rows, torch.zeros(ROWS + 9).long()), features=None)
    metrics()["dormant_fraction"].compute(now)
    assert torch.equal(seen[0], rows[:ROWS])
