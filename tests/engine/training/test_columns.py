import pytest

from engine.metrics import metrics
from engine.studies import Arm
from engine.training.columns import columns
from tests.engine.training.toys import ran, seeds, toy

CASES = {
    "plain": {},
    "per layer": {"per_layer": True, "cadence": {"dormant_fraction": 10}},
    "values": {"dataset": "toy-values", "lr": 0.01},
    "signs": {"dataset": "toy-signs"},
    "extra": {"cadence": {"lyapunov": 10, "tail_average_risk": 10, "sharpness": 20, "l2": 0, "trace": 0}},
    "linear": {
        "dataset": "toy-values",
        "model": "linear-network",
        "model_settings": {"depth": 0, "normalize_inputs": True, "affine": "scale", "bias": False},
        "cadence": {"distance_to_own_optimum": 10, "excess_risk": 10},
        "batch_size": 4,
        "lr": 0.01,
    },
    "tokens": {
        "dataset": "toy-tokens",
        "model": "transformer",
        "model_settings": {"width": 4, "heads": 2, "hidden": 4},
        "per_layer": True,
    },
    "goal": {"stop_below": {"sharpness": -1e9}},
    "arms": {
        "arms": (Arm("a", "SS"), Arm("deep", "RR", {"depth": 2}), Arm("RS2", "RS2", {}, {"fraction": 0.5})),
        "per_layer": True,
    },
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_they_are_those_that_a_training_writes(name):
    study = toy(**CASES[name])
    written = {column for row in ran(study, seeds(study, 0, 1)).rows.values() for column in row}
    told = columns(study, [arm.name for arm in study.arms])
    assert set(told) == written - {"epoch"}
    known = metrics()
    for column, what in told.items():
        if column == "batch_loss":
            continue
        layer, _, metric = column.rpartition("/")
        assert known[metric].label in what.label
        assert what.source == known[metric].source
        assert what.log == known[metric].log
        assert layer in what.label
        assert layer in what.formula
    assert len({what.label for what in told.values()}) == len(told)


def test_of_some_arms_only():
    study = toy(**CASES["arms"])
    assert "hidden.1.linear/l2" not in columns(study, ["a"])
    assert "hidden.1.linear/l2" in columns(study, ["deep"])


def test_losses_of_values_have_no_unit():
    assert columns(toy(dataset="toy-values"), ["it"])["batch_loss"].unit == ""
    assert columns(toy(dataset="toy-values"), ["it"])["full_batch_risk"].unit == ""
    assert columns(toy(), ["it"])["batch_loss"].unit == "nats"
