import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schedules import SCHEDULES, SETTINGS, schedule, settings_of


@given(st.integers(0, 99), st.integers(0, 30), st.sampled_from(sorted(SCHEDULES)))
def test_warm_up_rises_linearly_and_then_leaves_the_schedule_alone(step, warmup, name):
    warm, plain = (schedule(name, {}, 0.3, steps, 100, 10)(step) for steps in (warmup, 0))
    assert warm == pytest.approx(plain * (1.0 if step + 1 >= warmup else (step + 1) / warmup))


def test_each_by_hand():
    assert [schedule("constant", {}, 0.3, 0, 20, 5)(step) for step in (0, 19)] == [0.3, 0.3]
    steps = schedule("step", {"every": 2, "factor": 0.5}, 0.8, 0, 20, 5)  # epochs of 4 steps
    assert [steps(step) for step in (0, 7, 8, 15, 16)] == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2])
    cosine = schedule("cosine", {"floor": 0.2}, 1.0, 0, 20, 5)
    assert [cosine(step) for step in (0, 5, 10)] == pytest.approx([1.0, 0.6 + 0.4 * math.sqrt(0.5), 0.6])
    by_epoch = schedule("polynomial", {"power": 0.6}, 0.03, 0, 20, 5)
    assert [by_epoch(step) for step in (0, 3, 4, 19)] == pytest.approx(
        [0.03, 0.03, 0.03 / 2**0.6, 0.03 / 5**0.6]
    )
    by_step = schedule("polynomial", {"power": 1.0, "per": "step"}, 1.0, 0, 20, 5)
    assert [by_step(step) for step in (0, 1, 9)] == pytest.approx([1.0, 0.5, 0.1])


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("cosine", {"every": 3}, "of floor; got every"),
        ("constant", {"factor": 3}, "of nothing; got factor"),
        ("polynomial", {"per": "batch"}, "`per` must be epoch or step; got 'batch'"),
        ("step", {"every": 0}, "`every` must be at least 1 epoch; got 0"),
        ("step", {"factor": -1.0}, "`factor` must be at least 0 and finite; got -1.0"),
        ("polynomial", {"power": math.nan}, "`power` must be at least 0 and finite; got nan"),
        ("cosine", {"floor": math.inf}, "`floor` must be from 0 to 1; got inf"),
    ],
)
def test_a_setting_out_of_range_is_named(name, given, said):
    with pytest.raises(ValueError, match=said):
        settings_of(name, given)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_settings_not_given_are_at_their_defaults(name):
    assert settings_of(name, {}) == SETTINGS[name]
    assert SCHEDULES[name](3, 1, 20) == SCHEDULES[name](3, 1, 20, **SETTINGS[name])
