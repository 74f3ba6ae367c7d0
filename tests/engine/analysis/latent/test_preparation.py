import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.analysis.latent.preparation import cut, is_constant, learn_scaling, stack, standardize


def runs_of(n: int = 4, steps: int = 30, metrics: int = 3, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.exp(rng.normal(size=(steps, metrics))) for _ in range(n)]


@given(
    hnp.arrays(
        float,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.sampled_from([0.0, 1.0, -3.5, 9e11, 1e12, -1e30, np.nan, np.inf, -np.inf]),
    )
)
def test_a_run_is_cut_at_its_first_wild_value(run: np.ndarray) -> None:
    names = [f"m{i}" for i in range(run.shape[1])]
    (kept,), cuts = cut([run], names)
    wild = [
        (row, column)
        for row in range(run.shape[0])
        for column in range(run.shape[1])
        if not np.isfinite(run[row, column]) or abs(run[row, column]) >= 1e12
    ]
    if not wild:
        assert cuts == ()
        np.testing.assert_array_equal(kept, run)
        return
    row, column = wild[0]
    np.testing.assert_array_equal(kept, run[:row])
    (only,) = cuts
    assert (only.run, only.row, only.metric) == (0, row, names[column])
    assert np.array_equal(only.value, run[row, column], equal_nan=True)


def test_cutting_leaves_the_callers_arrays_alone() -> None:
    runs = runs_of()
    before = [run.copy() for run in runs]
    kept, _ = cut(runs, ["a", "b", "c"])
    scaling = learn_scaling(kept, ["a", "b", "c"], "log-pooled")
    scaling.apply(kept[0])
    for run, same, copy in zip(runs, before, kept, strict=True):
        np.testing.assert_array_equal(run, same)
        np.testing.assert_array_equal(copy, same)


@pytest.mark.parametrize(
    ("runs", "metrics", "message"),
    [
        ([], ["a"], "`runs` must hold at least one run"),
        ([np.ones((3, 1))], [], "`metrics` must name at least one"),
        ([np.ones((3, 2))], ["a", "a"], "got a more than once"),
        ([np.ones((3, 2)), np.ones((3, 2))], ["a", "b", "c"], r"`runs\[0\]` must have one column"),
    ],
)
def test_refuses_what_is_not_runs(runs, metrics, message) -> None:
    with pytest.raises(ValueError, match=message):
        cut(runs, metrics)


def test_per_run_is_the_z_score_of_each_run() -> None:
    runs = runs_of()
    scaling = learn_scaling(runs, ["a", "b", "c"], "per-run")
    assert scaling.centre is None
    for run in runs:
        found = scaling.apply(run)
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(found.std(axis=0), 1)
    found = scaling.apply(runs[0] * 7 + 3)
    np.testing.assert_allclose(found, scaling.apply(runs[0]))


@pytest.mark.parametrize("normalize", ["pooled", "log-pooled"])
def test_pooled_knows_training_runs_only(normalize) -> None:
    runs = runs_of()
    training, other = runs[:3], [runs[3] * 1000]
    scaling = learn_scaling(training, ["a", "b", "c"], normalize)
    values = np.concatenate(training)
    values = np.log(values) if normalize == "log-pooled" else values
    np.testing.assert_allclose(scaling.centre, values.mean(axis=0))
    np.testing.assert_allclose(scaling.scale, values.std(axis=0))
    rows = np.concatenate([scaling.apply(run) for run in training])
    np.testing.assert_allclose(rows.std(axis=0), 1)
    assert scaling.apply(other[0]).mean() > 3


def test_metrics_that_are_not_positive_stay_linear() -> None:
    runs = runs_of()
    runs[3][5, 1] = 0.0
    scaling = learn_scaling(runs, ["a", "b", "c"], "log-pooled")
    assert scaling.logged == ("a", "c")


def test_constants_and_duplicates_are_dropped_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    names = ["loss", "flat", "loss x -3", "norm", "float32 flat", "almost norm", "twice almost"]
    runs = []
    for _ in range(4):
        loss, norm = rng.normal(size=50), rng.normal(size=50)
        almost = norm + 0.01 * rng.normal(size=50)  # r = 0.99995
        jitter = np.float32(0.3) * (1 + 6e-8 * rng.integers(-1, 2, size=50))
        runs.append(np.column_stack([loss, np.full(50, 4.0), 5 - 3 * loss, norm, jitter, almost, 2 * almost]))
    scaling = learn_scaling(runs, names, "per-run")
    assert scaling.names == ("loss", "norm")
    why = dict(scaling.dropped)
    assert list(why) == ["flat", "loss x -3", "float32 flat", "almost norm", "twice almost"]
    assert why["flat"] == why["float32 flat"] == "constant within every run"
    assert why["loss x -3"] == "duplicates loss (r = -1.00000)"
    assert why["twice almost"].startswith("duplicates norm (r = 0.9999")


def test_related_metrics_are_kept() -> None:
    rng = np.random.default_rng(0)
    column = rng.normal(size=200)
    run = np.column_stack([column, column + 0.1 * rng.normal(size=200)])  # r = 0.995
    assert learn_scaling([run], ["a", "b"], "pooled").names == ("a", "b")


def test_a_metric_that_differs_between_runs_only_is_constant_per_run() -> None:
    runs = [np.column_stack([np.full(20, float(i)), np.arange(20.0)]) for i in range(4)]
    assert learn_scaling(runs, ["level", "step"], "per-run").names == ("step",)
    assert learn_scaling(runs, ["level", "step"], "pooled").names == ("level", "step")


def test_a_metric_that_rests_in_one_run_is_zero_there() -> None:
    runs = runs_of(metrics=2)
    runs[0][:, 1] = 5.0
    scaling = learn_scaling(runs, ["a", "b"], "per-run")
    assert scaling.names == ("a", "b")
    assert (scaling.apply(runs[0])[:, 1] == 0).all()


def test_refuses_when_nothing_varies() -> None:
    flat = [np.ones((9, 2))] * 2
    with pytest.raises(ValueError, match="every one was dropped \\(a: constant"):
        learn_scaling(flat, ["a", "b"], "pooled")


def test_empty_runs_pass_through() -> None:
    assert standardize(np.zeros((0, 2))).shape == (0, 2)


def test_zero_is_constant_and_small_is_not() -> None:
    values = np.column_stack([np.zeros(4), np.arange(4) * 1e-20, 1 + np.arange(4) * 1e-5])
    assert is_constant(values).tolist() == [True, False, False]


def test_stacking_keeps_lengths() -> None:
    rows, lengths = stack([np.zeros((2, 3)), np.ones((4, 3))])
    assert rows.sum() == 12
    assert lengths.tolist() == [2, 4]
