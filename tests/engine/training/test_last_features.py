import dataclasses

import numpy as np
import pytest

from data.errors import LabError
from engine.analysis.shuffling import divergence, risk
from engine.studies import Arm
from engine.studies.wu_six_points import STUDY as SIX
from engine.training.last_features import last_features
from engine.training.orderings import ordering
from tests.engine.training.toys import ran, seeds, toy


def linear(**changes):
    settings = {"width": 4, "depth": 2} | changes.pop("model_settings", {})
    return toy(**{"model": "linear-network", "model_settings": settings, "ordering": "SS"} | changes)


def with_offset(found, data):
    """Return M and features with the offset as one more feature."""
    return np.column_stack([found.matrix, found.offset]), np.column_stack(
        [data.features, np.ones(len(data.features))]
    )


@pytest.mark.parametrize(
    ("dataset", "settings"),
    [
        ("toy-classes", {}),
        ("toy-classes", {"affine": "scale", "bias": False}),
        ("toy-signs", {"depth": 0, "normalize_inputs": True, "affine": "none", "bias": False, "eps": 0.0}),
        ("toy-values", {"depth": 1, "bias": False}),
    ],
)
def test_read_out_of_its_features_a_run_has_the_risks_that_training_measured(dataset, settings):
    study = linear(dataset=dataset, model_settings=settings)
    got = ran(study, seeds(study, 3, 8))
    for replica, seed in enumerate([3, 8]):
        found = last_features(study, "it", seed, got.kept[replica, study.steps])
        row = got.rows[replica, study.steps]
        task = study.shape.task
        for data, measured in ((found.own, "own_batch_risk"), (found.full, "full_batch_risk")):
            M, features = with_offset(found, data)
            assert risk(M, features, data.targets, task) == pytest.approx(row[measured], rel=1e-9)
        assert found.intercept == (settings.get("bias", True) or settings.get("affine") is None)
        assert found.scale_trained == (settings.get("affine") != "none")
        order = ordering("SS").order(26, seed, 0)
        np.testing.assert_array_equal(found.own.targets, found.full.targets[order])


def test_an_order_that_changes_is_seen_by_its_subsets():
    study = linear(ordering="RR")
    got = ran(study, seeds(study, 3))
    found = last_features(study, "it", 3, got.kept[0, study.steps], subsets=40)
    assert len(found.own.features) == 40 * study.batch


def test_every_class_has_a_verdict_and_values_have_none():
    study = linear()
    weights = ran(study, seeds(study, 3)).kept[0, study.steps]
    found = last_features(study, "it", 3, weights).verdicts(time=1.0)
    assert list(found) == [0, 1, 2]
    for one, (split, told) in found.items():
        assert (told.kind == "bounded") == (split.direction is None)
        full = last_features(study, "it", 3, weights).full
        if split.direction is not None:
            labels = np.where(full.targets == one, 1, -1)
            products = labels * (full.features @ split.direction + split.offset)
            np.testing.assert_array_equal(told.misclassified, products < -1e-9)
    signs = linear(dataset="toy-signs")
    assert list(
        last_features(signs, "it", 3, ran(signs, seeds(signs, 3)).kept[0, signs.steps]).verdicts()
    ) == [1]
    values = linear(dataset="toy-values")
    with pytest.raises(ValueError, match="got values"):
        last_features(values, "it", 3, ran(values, seeds(values, 3)).kept[0, values.steps]).verdicts()


@pytest.mark.parametrize("settings", [{"norm": "none"}, {"norm": "none", "depth": 0}])
def test_without_normalization_no_order_changes_what_the_read_out_sees(settings):
    study = linear(model_settings=settings)
    found = last_features(study, "it", 3, ran(study, seeds(study, 3)).kept[0, study.steps])
    by_example = found.full.features[found.permuted.examples]
    np.testing.assert_allclose(found.permuted.features, by_example, rtol=1e-12)
    told = found.risks()
    assert told.own == pytest.approx(told.full, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "settings"),
    [("mlp", {"width": 5, "norm": "batch"}), ("residual-mlp", {"width": 5}), ("mlp", {"depth": 0})],
)
def test_of_any_network_the_last_linear_layer_is_read(model, settings):
    study = toy(model=model, model_settings=settings, ordering="SS")
    got = ran(study, seeds(study, 3))
    found = last_features(study, "it", 3, got.kept[0, study.steps])
    row = got.rows[0, study.steps]
    assert found.risks().own == pytest.approx(row["own_batch_risk"], rel=1e-9)
    assert found.risks().full == pytest.approx(row["full_batch_risk"], rel=1e-9)


def test_a_network_whose_outputs_are_no_linear_read_out_is_refused():
    study = toy(model="rnn", model_settings={"readout": "all"}, dataset="toy-sequences", ordering="SS")
    with pytest.raises(LabError, match="not linear in what its last layer reads"):
        last_features(study, "it", 0, {})


def test_the_risks_are_those_of_the_read_out_under_each_data():
    study = linear(ordering="RR")
    found = last_features(study, "it", 3, ran(study, seeds(study, 3)).kept[0, study.steps], subsets=40)
    told = found.risks()
    for data, value in (
        (found.permuted, told.own), (found.reshuffled, told.reshuffled.value), (found.full, told.full)
    ):  # fmt: skip
        M, features = with_offset(found, data)
        assert value == pytest.approx(risk(M, features, data.targets, "classes"), rel=1e-12)
    assert 0 < told.reshuffled.standard_error < told.reshuffled.value
    assert not told.reshuffled.exact


def test_distances_are_those_that_training_measured():
    study = linear(
        dataset="toy-values",
        model_settings={"depth": 0, "normalize_inputs": True, "affine": "scale", "bias": False, "eps": 0.0},
        cadence={f"distance_to_{one}_optimum": 10 for one in ("own", "full")},
    )
    got = ran(study, seeds(study, 3))
    found = last_features(study, "it", 3, got.kept[0, study.steps]).distances()
    row = got.rows[0, study.steps]
    assert found.own == pytest.approx(row["distance_to_own_optimum"], rel=1e-9)
    assert found.full == pytest.approx(row["distance_to_full_optimum"], rel=1e-9)
    assert linear_without_distances() is None


def linear_without_distances():
    study = linear(dataset="toy-signs")
    return last_features(study, "it", 3, ran(study, seeds(study, 3)).kept[0, study.steps]).distances()


def test_a_contrast_is_the_read_out_of_two_classes():
    study = linear()
    found = last_features(study, "it", 3, ran(study, seeds(study, 3)).kept[0, study.steps])
    two = found.contrast(2, 0)
    outputs = found.full.features @ found.matrix.T + found.offset
    rows = np.isin(found.full.targets, (0, 2))
    np.testing.assert_allclose(
        two.full.features @ two.direction + two.offset, (outputs[:, 2] - outputs[:, 0])[rows], rtol=1e-12
    )
    np.testing.assert_array_equal(two.full.targets, np.where(found.full.targets[rows] == 2, 1, -1))
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    assert found.confusion()[2, 0] == pytest.approx(shares[found.full.targets == 2, 0].sum())


def test_an_arm_has_its_own_settings():
    study = linear()
    arms = (Arm("SS", "SS"), Arm("plain", "SS", {"affine": "none"}))
    study = dataclasses.replace(study, arms=arms)
    got = ran(study, seeds(study, 1))
    assert not last_features(study, "plain", 1, got.kept[1, study.steps]).scale_trained


@pytest.mark.slow
def test_the_six_points_grow_as_steeply_as_predicted():
    study = dataclasses.replace(SIX, epochs=1500, seeds=12)
    replicas = [one for one in seeds(study, *range(12)) if one.arm == "SS"]
    got = ran(study, replicas)
    curves = [
        [got.column(name, replica) for replica in range(12)] for name in ("own_batch_risk", "full_batch_risk")
    ]
    steps = np.array(list(curves[0][0]))
    own, full = (np.array([list(one.values()) for one in risk]) for risk in curves)
    measured = divergence(steps, own, full)
    told = [
        last_features(study, "SS", replica, got.kept[replica, study.steps]).verdicts()[1][1]
        for replica in range(12)
    ]
    predicted = np.array([one.slope for one in told])
    np.testing.assert_allclose(measured.slopes, predicted, atol=0.02, rtol=0.06)
    np.testing.assert_array_equal(measured.observed, [one.kind == "GD risk diverges" for one in told])
