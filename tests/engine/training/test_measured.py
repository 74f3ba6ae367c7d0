import pytest

from engine.metrics import metrics
from engine.training.measured import measured, measured_at
from tests.engine.training.toys import toy

DEFAULT = {name for name, metric in metrics().items() if metric.default}


def test_default_metrics_and_those_asked_for_are_measured():
    assert "sharpness" not in DEFAULT
    assert "l2" in DEFAULT
    assert measured(toy()) == DEFAULT
    assert measured(toy(cadence={"sharpness": 20, "l2": 0, "lyapunov": 0})) == DEFAULT - {"l2"} | {
        "sharpness"
    }
    assert measured(toy(stop_above={"sharpness": 9.0}, stop_below={"l1": 1.0})) == DEFAULT | {"sharpness"}


def test_each_is_measured_at_its_cadence_and_all_at_both_ends():
    study = toy(
        cadence={"l2": 20, "sharpness": 30, "l1": 0}, stop_below={"tail_average_risk": 0.1}, epochs=16
    )
    assert study.steps == 64
    every = measured(study)
    assert measured_at(study, 0, 64) == measured_at(study, 64, 64) == every
    often = DEFAULT - {"l2", "l1"} | {"tail_average_risk"}
    assert measured_at(study, 10, 64) == often
    assert measured_at(study, 20, 64) == often | {"l2"}
    assert measured_at(study, 30, 64) == often | {"sharpness"}
    assert measured_at(study, 60, 64) == often | {"l2", "sharpness"}
    assert measured_at(study, 15, 64) == set()


@pytest.mark.parametrize("where", ["cadence", "stop_below", "stop_above"])
def test_an_unknown_metric_is_named(where):
    with pytest.raises(ValueError, match=r"one of .*train_accuracy.*; got no_such"):
        measured(toy(**{where: {"no_such": 10}}))


def test_a_goal_that_is_never_measured_is_refused():
    with pytest.raises(ValueError, match="`cadence` of l2, which stops a run"):
        measured(toy(stop_above={"l2": 3.0}, cadence={"l2": 0}))
