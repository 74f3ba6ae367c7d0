import dataclasses
import inspect
import json

import pytest

from data.errors import LabError
from engine.datasets import dataset
from engine.models import models
from engine.studies import Arm, Comparison, Study, studies, study
from engine.studies._model_settings import model_settings


def test_the_demo_study_is_the_one_described():
    demo = study("digits-shuffling")
    assert [arm.name for arm in demo.arms] == ["SS", "RR", "SS no BN", "RR no BN"]
    assert (demo.seeds, demo.epochs, demo.batch_size, demo.lr) == (16, 200, 32, 0.1)
    assert demo.steps == 6400


@pytest.mark.parametrize("name", sorted(studies()))
def test_a_study_survives_the_catalogue(name):
    definition = study(name)
    assert Study.from_config(json.loads(json.dumps(definition.config()))) == definition


def test_an_override_changes_the_study_and_its_name():
    changed = study("digits-shuffling").override({"lr": "0.5", "epochs": "3", "model.width": "8"})
    assert changed.name == "digits-shuffling@epochs=3,lr=0.5,model.width=8"
    assert (changed.epochs, changed.lr, changed.model_settings["width"]) == (3, 0.5, 8)
    assert study("digits-shuffling").epochs == 200
    assert study("digits-shuffling").override({}) is study("digits-shuffling")


def test_a_name_follows_the_value_and_not_its_spelling():
    demo = study("digits-shuffling")
    assert demo.override({"lr": "0.50"}).name == demo.override({"lr": "5e-1"}).name
    assert demo.override({"epochs": " 200 ", "lr": "0.1"}) is demo


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epoch": "3"}, "no setting `epoch`"),
        ({"epochs": "three"}, "`epochs` must be of type int"),
        ({"epochs": "0"}, "`epochs` must be at least 1"),
        ({"lr": "0"}, "`lr` must be more than 0"),
        ({"children": "0"}, "`children` must be at least 1"),
        ({"lr": "nan"}, "`lr` must be more than 0"),
        ({"momentum": "1"}, "`momentum` must be below 1"),
        ({"dtype": "int8"}, "`dtype` must be one of float32, float64"),
        ({"dataset.colour": "red"}, "no setting `dataset.colour`"),
        ({"schedule.power": "0.5"}, "no setting `schedule.power`"),
        ({"model.wide": "3"}, "no setting `model.wide`"),
        ({"model": "mlp", "model.affine": "none"}, "no setting `model.affine`"),
        ({"model": "rnn", "model.width": "wide"}, "`model.width` must be of type int; got 'wide'"),
        ({"model.bias": "no"}, "`model.bias` must be of type bool; got 'no'"),
        ({"schedule": "step", "schedule.every": "0"}, "`every` must be at least 1"),
        ({"schedule": "cosine", "schedule.floor": "2"}, "`floor` must be from 0 to 1"),
        ({"loss_bound": "nan"}, "`loss_bound` must be more than 0"),
        ({"dataset": "no-such"}, "no-such"),
        ({"seeds": "4"}, "no setting `seeds`"),
    ],
)
def test_a_bad_override_is_refused_with_its_reason(settings, words):
    with pytest.raises(LabError, match=words):
        study("digits-shuffling").override(settings)


def test_a_change_that_every_arm_overrules_is_refused():
    rates = study("orderings-quadratic")
    for key, value in (("lr", "0.3"), ("epochs", "5"), ("evaluate_every", "128")):
        with pytest.raises(LabError, match=f"Every arm of `orderings-quadratic` sets `{key}` for itself"):
            rates.override({key: value})
    assert rates.override({"momentum": "0.5", "lr": str(rates.lr)}).momentum == 0.5
    both = dataclasses.replace(rates, arms=tuple(Arm(name, "RR", {"bias": name == "a"}) for name in "ab"))
    with pytest.raises(LabError, match=r"sets `model\.bias` for itself"):
        both.override({"model.bias": "true"})
    redo = study("dormant-redo").override({"redo_every": "50"})
    assert [redo.of(arm.name).redo_every for arm in redo.arms] == [50, 150]


def test_an_unknown_setting_is_answered_with_all_that_there_are():
    with pytest.raises(LabError) as refused:
        study("digits-shuffling").override({"model": "gru", "schedule": "cosine", "dataset": "npz", "x": "1"})
    for name in ("lr", "model.readout", "model.recurrent_scale", "schedule.floor", "dataset.tokens"):
        assert name in refused.value.remedy
    assert "model.norm" not in refused.value.remedy


@pytest.mark.parametrize("name", sorted(models()))
def test_the_settings_of_a_model_are_those_of_its_constructor(name):
    taken = inspect.signature(models()[name]).parameters
    defaults = {key: one.default for key, one in taken.items() if key != "shape"}
    assert model_settings(name) == defaults


def test_a_model_setting_has_the_type_of_its_default_and_an_unknown_model_is_left_to_who_builds_it():
    demo = study("digits-shuffling")
    for text in ("2", "2.0", "2e0"):
        assert demo.override({"model.init_scale": text}).name == "digits-shuffling@model.init_scale=2.0"
    assert demo.override({"model.init": "default", "model.bias": "true"}) is demo
    assert demo.override({"model": "none", "model.width": "3"}).model_settings == {"width": 3}


def test_another_model_data_set_or_schedule_comes_with_its_own_settings():
    changed = study("digits-shuffling").override(
        {
            "model": "mlp",
            "model.init": "orthogonal",
            "model.width": "8",
            "schedule": "cosine",
            "schedule.floor": "0.1",
        }
    )
    assert (changed.model, changed.model_settings) == ("mlp", {"init": "orthogonal", "width": 8})
    assert changed.schedule_settings == {"floor": 0.1}
    assert changed.name.endswith(
        "@model=mlp,model.init=orthogonal,model.width=8,schedule=cosine,schedule.floor=0.1"
    )
    moved = study("wu-regression").override({"dataset": "digits"})
    assert moved.dataset_settings == {}
    assert study("wu-regression").override({"dataset.noise": "0.5"}).dataset_settings["noise"] == 0.5


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(LabError, match="digits-shuffling"):
        study("digit-shuffling")
    with pytest.raises(LabError, match="RR no BN"):
        study("digits-shuffling").arm("XX")
    with pytest.raises(LabError, match="digits"):
        dataset("digit")


def test_a_malformed_study_fails_at_once():
    demo = study("digits-shuffling")
    with pytest.raises(ValueError, match="names of their own"):
        dataclasses.replace(demo, arms=(Arm("a", "SS"), Arm("a", "RR")), comparisons=())
    with pytest.raises(ValueError, match="no arm `b`"):
        dataclasses.replace(demo, arms=(Arm("a", "SS"),), comparisons=(Comparison("a", "b", "control"),))
