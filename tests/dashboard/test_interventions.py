import numpy as np
import pytest

from dashboard.interventions import _later, reading
from engine.analysis.proportions import share, share_difference
from engine.analysis.restricted_difference import RestrictedDifference


def of(count, n):
    return np.arange(n) < count


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (0, 0, "in neither"),
        (12, 0, ":orange-badge[gone in LN]"),
        (0, 12, ":orange-badge[gone in plain]"),
        (2, 0, "not seen in LN; chance not excluded"),
        (0, 1, "not seen in plain; chance not excluded"),
        (18, 4, "more often in plain"),
        (4, 18, "more often in LN"),
        (11, 9, "no difference shown"),
    ],
)
def test_what_the_shares_of_two_arms_say_of_a_state(a, b, words):
    first, second = of(a, 20), of(b, 20)
    assert reading(share(first), share(second), share_difference(first, second), ("plain", "LN")) == words


def test_an_arm_that_is_earlier_is_said_to_be_with_the_interval_turned_round():
    assert _later(RestrictedDifference(160.0, 85.0, 245.0, 48)) == "later by 160 [85.0, 245] steps"
    assert _later(RestrictedDifference(-109.0, -329.0, 163.0, 80)) == "earlier by 109 [−163, 329] steps"
