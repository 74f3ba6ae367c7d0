import numpy as np
import pytest

from dashboard.convergence import Rule, Run, _best, default_metric, default_rule
from data.rows import MetricRow, StudyRow
from data.traces import RunMatrix
from engine.analysis.detours import converged_at


def metric(name, log=False):
    return MetricRow("s", name, name, "", "", "", log)


def study(**config):
    return StudyRow("s", "", "", config, "engine", None, "", None, None, None)


def levels(*runs):
    return [
        RunMatrix(number, "A", number, np.arange(len(run)), np.array(run, float)[:, None])
        for number, run in enumerate(runs)
    ]


def run(path, at):
    path = np.array(path)
    steps = np.arange(len(path)) * 10
    return Run(0, "A", 3, steps, path, np.ones(len(path)), at, float("nan"))


def test_what_a_study_means_by_convergence():
    known = {name: metric(name) for name in ("l2", "train_loss", "test_accuracy")}
    assert default_metric(study(stop_below={"train_loss": 0.05}), known) == "train_loss"
    assert default_metric(study(), known) == "test_accuracy"
    assert default_metric(study(), {"l2": known["l2"]}) == "l2"


def test_a_study_that_stops_at_its_goal_needs_no_patience():
    rule = default_rule(study(stop_below={"train_loss": 0.05}), metric("train_loss"), [])
    assert (rule.direction, rule.threshold, rule.patience) == ("below", 0.05, 1)


def test_a_threshold_is_midway_between_begin_and_best_on_the_axis_of_the_metric():
    falling = levels([1.0, 0.1, 0.01], [1.0, 0.2, 0.01], [1.0, np.inf, np.nan])
    rule = default_rule(study(), metric("test_loss", log=True), falling)
    assert (rule.direction, rule.threshold) == ("below", 0.1)
    rising = levels([0.0, 3.0, 4.0], [0.0, 4.0, 3.0])
    rule = default_rule(study(), metric("l2"), rising)
    assert (rule.direction, rule.threshold) == ("above", 2.0)


def test_a_metric_that_is_never_finite_has_a_rule_all_the_same():
    rule = default_rule(study(), metric("l2"), levels([np.nan, np.inf]))
    assert np.isfinite(rule.threshold)


@pytest.mark.parametrize("direction", ["above", "below"])
@pytest.mark.parametrize("patience", [1, 3])
def test_the_best_value_is_the_strictest_threshold_that_still_counts(direction, patience):
    rng = np.random.default_rng(patience)
    values = rng.normal(size=40)
    values[[5, 11]] = np.nan, np.inf
    best = _best(values, Rule(metric("l2"), direction, 0.0, patience))
    stricter = np.nextafter(best, np.inf if direction == "above" else -np.inf)
    assert converged_at([values], best, direction, patience) != [None]
    if np.isfinite(best):
        assert converged_at([values], float(stricter), direction, patience) == [None]


def test_a_run_shorter_than_the_patience_has_no_best_value():
    assert np.isnan(_best(np.array([1.0, 2.0]), Rule(metric("l2"), "above", 0.0, 3)))


class TestRun:
    def test_before_convergence_and_on_to_the_end_of_that_stay(self):
        one = run([0, 0, 1, 1, 1, 2, 2], at=30.0)
        assert one.before.tolist() == [0, 0, 1]
        assert one.followed.tolist() == [0, 0, 1, 1, 1, 2]
        assert one.time == 30

    def test_a_stay_that_convergence_ends_is_seen_to_end(self):
        assert run([0, 0, 1, 1], at=20.0).followed.tolist() == [0, 0, 1]

    def test_a_stay_that_the_run_ends_is_not(self):
        assert run([0, 0, 1, 1], at=30.0).followed.tolist() == [0, 0, 1, 1]

    def test_a_run_that_never_converges_is_followed_whole(self):
        one = run([0, 0, 1], at=None)
        assert one.before.tolist() == one.followed.tolist() == [0, 0, 1]
        assert one.time == 20

    def test_a_run_that_has_converged_at_its_first_row_visited_nothing(self):
        one = run([0, 0, 1], at=0.0)
        assert not len(one.before)
        assert not len(one.followed)


def test_the_rule_in_words():
    accuracy = MetricRow("s", "a", "Test accuracy", "", "", "", False)
    assert Rule(accuracy, "above", 0.9, 3).words == "test accuracy ≥ 0.9 for 3 points in a row"
    assert Rule(accuracy, "below", 0.9, 1).words == "test accuracy ≤ 0.9"
