import dataclasses

import numpy as np
import pytest
import torch

from data.errors import LabError
from engine.datasets import datasets
from engine.metrics import metrics
from engine.studies import Arm
from engine.training.columns import rehearsed
from engine.training.readiness import require_trainable
from tests.engine.training.toys import TOYS, toy


def refused(study, device="cpu", **how):
    """Return the refusal of the last arm."""
    with pytest.raises(LabError) as error:
        require_trainable(study, [study.arms[-1].name], device, **how)
    assert error.value.remedy.endswith((".", "?"))
    return f"{error.value.title}: {error.value.message} {error.value.remedy}"


def spoil(monkeypatch, **parts):
    """Let toy classes load other arrays."""
    split = TOYS["toy-classes"].load()._replace(**parts)
    monkeypatch.setitem(
        datasets(), "toy-classes", dataclasses.replace(TOYS["toy-classes"], load=lambda: split)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 0},
        {"batch_size": 1, "model_settings": {"norm": "layer"}},
        {"batch_size": 25, "model_settings": {"norm": "none"}},
        {"ordering": "RS2", "fraction": 1.0},
        {"ordering": "GraB", "dtype": "float32"},
        {"redo_every": 5},
        {"cadence": {"lyapunov": 10}},
        {"dataset": "toy-signs", "label_noise": 0.1},
        {
            "dataset": "toy-sequences",
            "model": "gru",
            "model_settings": {"readout": "all"},
            "consistency": 0.1,
        },
        {"stop_above": {"train_accuracy": 0.99}},
    ],
    ids=str,
)
def test_what_can_be_trained_is_let_through(changes):
    require_trainable(toy(**changes), ["it"], "cpu")


SETTINGS = {
    "batch larger than the data": (
        {"batch_size": 27},
        ["`batch_size` is 27", "`toy-classes` has 26 training rows", "at most 26"],
    ),
    "batch of 1 under batch normalization": (
        {"batch_size": 1},
        ["`batch_size` 1", "an epoch of 26 examples has a batch of 1", "without batch normalization"],
    ),
    "last batch of 1 under batch normalization": (
        {"batch_size": 5},
        ["`batch_size` 5", "an epoch of 26 examples", "leaves no batch of 1"],
    ),
    "last batch of 1 of a subset": (
        {"batch_size": 4, "ordering": "RS2", "fraction": 0.5},
        ["`batch_size` 4", "an epoch of 13 examples", "leaves no batch of 1"],
    ),
    "subset of one": (
        {"ordering": "RS2", "fraction": 0.01},
        ["an epoch of 1 examples has a batch of 1"],
    ),
    "subset larger than the data": (
        {"ordering": "RS2", "fraction": 1.5},
        ["`fraction` must be above 0 and at most 1; got 1.5"],
    ),
    "no subset": ({"ordering": "RS2", "fraction": 0.0}, ["`fraction` must be above 0", "got 0.0"]),
    "setting of an ordering": ({"ordering": "RR", "fraction": 0.5}, ["Arm `it` of `toy`", "fraction"]),
    "ordering": (
        {"ordering": "XX"},
        ["no ordering `XX`", "SS, RR, IGM, WR, FlipFlop, RS2, GraB, PairBalance"],
    ),
    "model": ({"model": "mpl"}, ["no model `mpl`", "mlp"]),
    "setting of a model": (
        {"model_settings": {"wide": 3}},
        ["`mlp`: there is no setting `wide`", "width, depth"],
    ),
    "an answer at the end where one at every step is asked": (
        {"dataset": "toy-sequences", "model": "rnn", "model_settings": {}},
        ["`rnn` gives outputs of shape (1,)", "`toy-sequences` asks for (4, 1)", "readout=all"],
    ),
    "one answer of a perceptron where one at every step is asked": (
        {"dataset": "toy-sequences"},
        ["`mlp` gives outputs of shape (1,)", "asks for (4, 1)"],
    ),
    # Broadcast, its loss would pair every answer with every other example's sign.
    "an answer at every step where one sign is asked": (
        {"dataset": "evidence-accumulation", "model": "gru", "model_settings": {"readout": "all"}},
        ["`gru` gives outputs of shape (40, 1)", "asks for (1,)", "readout=last"],
    ),
    "value of a model": ({"model_settings": {"width": 0}}, ["`width` must be", "got 0"]),
    "data set": ({"dataset": "digit"}, ["no data set `digit`", "digits"]),
    "metric": ({"cadence": {"loss": 10}}, ["A metric must be one of", "train_accuracy", "got loss"]),
    "goal": ({"stop_below": {"batch_loss": 0.1}}, ["A metric must be one of", "got batch_loss"]),
    "goal that is never measured": (
        {"stop_below": {"l2": 1.0}, "cadence": {"l2": 0}},
        ["`cadence` of l2, which stops a run, must not be 0"],
    ),
    "noise without labels": (
        {"dataset": "toy-values", "label_noise": 0.2},
        ["`label_noise` is 0.2", "`toy-values` has values", "Set label_noise to 0"],
    ),
    "consistency without time": (
        {"consistency": 0.5},
        ["`consistency` is 0.5", "`mlp` is no recurrent model", "rnn or gru"],
    ),
    "recycling without units": (
        {"redo_every": 3, "model": "linear-network"},
        ["`redo_every` is 3", "`linear-network`", "Set redo_every to 0"],
    ),
    "twin in single precision": (
        {"cadence": {"lyapunov": 10}, "dtype": "float32"},
        ["difference of 1e-8, which float32 cannot hold", "dtype to float64"],
    ),
    "twin as a goal in single precision": (
        {"stop_above": {"lyapunov": 1.0}, "dtype": "float32"},
        ["which float32 cannot hold"],
    ),
    "twin of recycled units": (
        {"cadence": {"lyapunov": 10}, "redo_every": 7},
        ["ReDo every 7 steps", "Set redo_every to 0"],
    ),
    "balancing in half precision": (
        {"ordering": "GraB", "dtype": "bfloat16"},
        ["GraB compares sums of gradients", "float32 or float64"],
    ),
}


@pytest.mark.parametrize("what", sorted(SETTINGS))
def test_a_setting_is_refused_by_name_and_value_with_a_remedy(what):
    changes, words = SETTINGS[what]
    said = refused(toy(**changes))
    for word in words:
        assert word in said


def test_the_settings_of_every_arm_asked_for_are_looked_at():
    study = toy(arms=(Arm("fine", "RR"), Arm("not", "RR", training={"batch_size": 100})))
    require_trainable(study, ["fine"], "cpu")
    assert "`batch_size` is 100" in refused(study)


def test_devices():
    assert "no device `tpu`" in refused(toy(), "tpu")
    if not torch.cuda.is_available():
        said = refused(toy(), "cuda")
        assert "no CUDA device" in said
        assert "--device cpu" in said


def test_weights_that_fit_in_no_memory(monkeypatch):
    monkeypatch.setattr("engine.training.memory.free_bytes", lambda device: 20_000)
    require_trainable(toy(), ["it"], "cpu", seeds=2)
    said = refused(toy(), seeds=100)
    assert "100 runs keep" in said
    assert "a step of one" not in said  # nothing is known of it yet


def test_a_compiler_that_is_not_there(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    said = refused(toy(), compiled=True)
    assert "g++" in said
    assert "--compile" in said
    require_trainable(toy(), ["it"], "cpu")


def test_a_nan_in_the_data_is_named_by_its_row(monkeypatch):
    inputs = TOYS["toy-classes"].load().train_inputs
    inputs[17, 2] = np.nan
    spoil(monkeypatch, train_inputs=inputs)
    said = refused(toy())
    assert "train_inputs of `toy-classes` has 1 NaN" in said
    assert "row 17" in said
    assert "Remove these rows" in said


def test_infinite_held_out_data(monkeypatch):
    inputs = TOYS["toy-classes"].load().test_inputs
    inputs[3] = np.inf
    spoil(monkeypatch, test_inputs=inputs)
    assert "test_inputs of `toy-classes` has 0 NaN and 5 infinite" in refused(toy())


def test_one_class_only(monkeypatch):
    spoil(monkeypatch, train_targets=np.full(26, 2))
    said = refused(toy())
    assert "All 26 training rows of `toy-classes` are of class 2" in said
    assert "two classes" in said


def test_a_class_that_there_is_not(monkeypatch):
    spoil(monkeypatch, train_targets=np.arange(26) % 4)
    assert "class 3 in row 3; they go from 0 to 2" in refused(toy())


LACKING = {
    "a read-out on fixed features": (
        {"cadence": {"distance_to_own_optimum": 10}},
        [
            "`distance_to_own_optimum`, which `cadence` of `toy` names",
            "fixed features",
            "`mlp` on `toy-classes`",
        ],
    ),
    "a rule that never fires": (
        {"dataset": "toy-values", "stop_above": {"train_accuracy": 0.9}},
        [
            "`train_accuracy`, which `stop_above` of `toy` names, needs classes or signs",
            "Leave `train_accuracy` out",
        ],
    ),
    "biases": (
        {
            "model": "linear-network",
            "model_settings": {"depth": 1, "norm": "none", "bias": False},
            "stop_below": {"var_b": 0.0},
        },
        ["`var_b`, which `stop_below`", "a model with two biases or more"],
    ),
    "nonlinearities": (
        {
            "dataset": "toy-sequences",
            "model": "gru",
            "model_settings": {"readout": "all"},
            "cadence": {"dormant_fraction": 10},
        },
        ["`dormant_fraction`", "recurrent networks have not"],
    ),
    "layers": (
        {"per_layer": True, "cadence": {name: 0 for name, one in metrics().items() if one.layers}},
        ["`per_layer` is true, but `toy` measures nothing that its layers have"],
    ),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_metric_that_cannot_be_measured_is_refused(name):
    changes, told = LACKING[name]
    text = refused(toy(**changes))
    for words in told:
        assert words in text


def test_nothing_held_out_has_no_test_loss(monkeypatch):
    split = TOYS["toy-classes"].load()
    spoil(monkeypatch, test_inputs=split.test_inputs[:0], test_targets=split.test_targets[:0])
    require_trainable(toy(), ["it"], "cpu")
    assert "`test_loss`, which `stop_below` of `toy` names, needs held-out rows" in refused(
        toy(stop_below={"test_loss": 0.1})
    )


def test_a_metric_of_some_arms_is_let_through_where_it_only_leaves_gaps():
    arms = (Arm("linear", "RR", {"depth": 0}), Arm("deep", "RR", {"depth": 1}))
    model = {"width": 6, "norm": "none"}
    asked = toy(arms=arms, model_settings=model, cadence={"dormant_fraction": 10})
    for chosen in (["linear", "deep"], ["linear"]):
        require_trainable(asked, chosen, "cpu")
    rule = dataclasses.replace(asked, stop_above={"dormant_fraction": 0.9})
    with pytest.raises(LabError, match="arm `linear`"):
        require_trainable(rule, ["linear", "deep"], "cpu")
    require_trainable(rule, ["deep"], "cpu")
    own = (arms[0], Arm("asks", "RR", {"depth": 0}, training={"cadence": {"dormant_fraction": 10}}))
    with pytest.raises(LabError, match="arm `asks`"):
        require_trainable(toy(arms=own, model_settings=model), ["linear", "asks"], "cpu")


def test_every_metric_that_not_all_have_says_what_it_needs():
    bare = toy(
        dataset="toy-values",
        model="linear-network",
        model_settings={"depth": 0, "bias": False, "affine": "none"},
        cadence=dict.fromkeys(metrics(), 10),
    )
    there = set(rehearsed(bare, "it"))
    lacking = set(metrics()) - there
    assert {"var_b", "dormant_fraction", "train_accuracy", "test_accuracy"} <= lacking
    assert [name for name in lacking if not metrics()[name].needs] == []
    moving = toy(cadence=dict.fromkeys(metrics(), 10))
    assert [name for name in set(metrics()) - set(rehearsed(moving, "it")) if not metrics()[name].needs] == []


def test_numbers_beyond_the_precision_are_refused(monkeypatch):
    inputs = TOYS["toy-classes"].load().train_inputs.copy()
    inputs[4, 2] = 1e300
    spoil(monkeypatch, train_inputs=inputs)
    assert "1e+300 at [4, 2], in row 4. Scale the data, or set dtype to float64" in refused(
        toy(dtype="float32")
    )
    require_trainable(toy(), ["it"], "cpu")
