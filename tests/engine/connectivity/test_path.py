import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.connectivity.evaluation import examples
from engine.connectivity.path import Path, interpolate, path
from engine.connectivity.renormalization import renormalize
from tests.engine.connectivity.pairs import CASES, RECURRENT, as_numpy, data, loaded, pair


def slow(model, a, b, X, y, lambdas, task="classes"):
    """Loss and accuracy by loading one network after the other."""
    found = []
    for lam in lambdas:
        state = {key: (1 - lam) * a[key] + lam * b[key] for key in a}
        with torch.no_grad():
            outputs = loaded(model, state)(X)
        if task == "classes":
            found.append((functional.cross_entropy(outputs, y), (outputs.argmax(1) == y).double().mean()))
        elif task == "signs":
            loss = torch.log1p(torch.exp(-y * outputs[:, 0])).mean()
            found.append((loss, (outputs[:, 0].sign() == y).double().mean()))
        else:
            found.append(((outputs - y).square().sum(-1).mean(), 0))
    return np.array(found, dtype=np.float64).T


@pytest.mark.parametrize("case", CASES | RECURRENT)
def test_equals_a_plain_loop_over_lambdas(case):
    model, a, b = pair(case)
    X, y = data(case)
    task = "values" if case in RECURRENT else "classes"
    found = path(model, a, b, X, y, task=task)
    np.testing.assert_allclose(found.lambdas, np.arange(25) / 24, rtol=1e-15)
    loss, accuracy = slow(model, a, b, X, y, found.lambdas, task)
    np.testing.assert_allclose(found.loss, loss, rtol=1e-12, atol=1e-12)
    if task == "values":
        assert found.accuracy is None
    else:
        np.testing.assert_array_equal(found.accuracy, accuracy)


def test_signs():
    model, a, b = pair("mlp")
    X, _ = data("mlp")
    y = torch.where(torch.arange(len(X)) % 2 == 0, 1.0, -1.0).double()
    found = path(model, a, b, X, y, lambdas=[0.0, 0.3, 1.0], task="signs")
    loss, accuracy = slow(model, a, b, X, y, [0.0, 0.3, 1.0], "signs")
    np.testing.assert_allclose(found.loss, loss, rtol=1e-12)
    np.testing.assert_array_equal(found.accuracy, accuracy)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("renormalize", ["none", "repair"])
def test_does_not_depend_on_how_many_are_evaluated_together(size, renormalize, monkeypatch):
    model, a, b = pair("cnn")
    X, y = data("cnn")
    expected = path(model, a, b, X, y, renormalize=renormalize)
    monkeypatch.setattr(sys.modules[Path.__module__], "together", lambda *_: size)
    found = path(model, a, b, X, y, renormalize=renormalize)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-12)
    np.testing.assert_array_equal(found.accuracy, expected.accuracy)


@pytest.mark.parametrize("renormalize", ["none", "reshift"])
def test_does_not_depend_on_how_many_examples_are_evaluated_together(renormalize):
    model, a, b = pair("mlp")
    X, y = data("mlp")
    expected = path(model, a, b, X, y, renormalize=renormalize)
    found = path(model, a, b, X, y, renormalize=renormalize, batch_size=7)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-11)


def test_the_batch_of_batch_normalization_is_not_split_unless_its_statistics_are_frozen():
    model, a, b = pair("mlp, batch")
    X, y = data("mlp, batch")
    with pytest.raises(ValueError, match="`batch_size` must be None for a model with batch normalization"):
        path(model, a, b, X, y, batch_size=8)
    whole, split = (path(model, a, b, X, y, renormalize="reset", batch_size=size) for size in (None, 8))
    np.testing.assert_allclose(split.loss, whole.loss, rtol=1e-11)


def test_reset_on_the_examples_themselves_is_what_batch_normalization_does_anyway():
    model, a, b = pair("resnet, batch")
    X, y = data("resnet, batch")
    plain, reset = (path(model, a, b, X, y, renormalize=one) for one in ("none", "reset"))
    np.testing.assert_allclose(reset.loss, plain.loss, rtol=1e-12)
    other = path(model, a, b, X, y, renormalize="reset", calibration=data("resnet, batch", seed=5)[0])
    assert np.abs(other.loss - plain.loss).min() > 1e-4


@pytest.mark.parametrize(
    ("case", "method"),
    [
        *((case, "repair") for case in CASES),
        ("mlp", "rescale"),
        ("resnet, layer", "reshift"),
        ("mlp, batch", "rescale"),
        ("cnn, batch", "reset"),
    ],
)
def test_renormalized_together_equals_one_at_a_time(case, method):
    model, a, b = pair(case)
    X, y = data(case)
    calibration, _ = data(case, seed=3)
    lambdas = [0.0, 0.35, 1.0]
    found = path(model, a, b, X, y, lambdas, method, calibration=calibration)
    for lam, loss in zip(lambdas, found.loss, strict=True):
        with torch.no_grad():
            outputs = renormalize(model, a, b, lam, calibration, method)(X)
        assert loss == pytest.approx(float(functional.cross_entropy(outputs, y)), rel=1e-12)


def test_single_precision_and_arrays():
    model, a, b = pair("mlp")
    X, y = data("mlp")
    expected = path(model, a, b, X, y, renormalize="repair")
    narrow = [{key: value.astype(np.float32) for key, value in as_numpy(one).items()} for one in (a, b)]
    found = path(model.float(), *narrow, X.numpy(), y.numpy(), renormalize="repair")
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    assert (found.loss != expected.loss).any()


def test_a_network_that_overflows_has_no_finite_loss_and_nothing_right():
    model, a, b = pair("mlp")
    X, y = data("mlp")
    b["head.weight"] *= 1e308
    b["hidden.2.linear.bias"] += 100
    found = path(model, a, b, X, y)
    assert not np.isfinite(found.loss[-1])
    assert found.accuracy[-1] == 0
    assert np.isfinite(found.loss[0])


class TestHomogeneousBiases:
    def test_by_hand(self):
        model, a, b = pair("mlp")
        X, _ = data("mlp")
        found = interpolate(model, a, b, 0.3, "homogeneous", X)
        for depth, layer in enumerate(["hidden.0.linear", "hidden.1.linear", "hidden.2.linear", "head"], 1):
            expected = 0.7**depth * a[f"{layer}.bias"] + 0.3**depth * b[f"{layer}.bias"]
            torch.testing.assert_close(found[f"{layer}.bias"], expected, rtol=1e-14, atol=1e-14)
            expected = 0.7 * a[f"{layer}.weight"] + 0.3 * b[f"{layer}.weight"]
            torch.testing.assert_close(found[f"{layer}.weight"], expected, rtol=1e-14, atol=1e-14)

    def test_shrinks_the_function_like_a_homogeneous_one(self):
        model, a, _ = pair("mlp")
        X, _ = data("mlp")
        zero = {key: torch.zeros_like(value) for key, value in a.items()}
        with torch.no_grad():
            whole = loaded(model, a)(X)
            shrunk = loaded(model, interpolate(model, zero, a, 0.6, "homogeneous", X))(X)
        torch.testing.assert_close(shrunk, 0.6**4 * whole, rtol=1e-12, atol=1e-12)

    def test_along_a_path(self):
        model, a, b = pair("resnet")
        X, y = data("resnet")
        found = path(model, a, b, X, y, [0.0, 0.3, 1.0], bias="homogeneous")
        with torch.no_grad():
            outputs = loaded(model, interpolate(model, a, b, 0.3, "homogeneous", X))(X)
        assert found.loss[1] == pytest.approx(float(functional.cross_entropy(outputs, y)), rel=1e-12)
        straight = path(model, a, b, X, y, [0.0, 0.3, 1.0])
        np.testing.assert_allclose(found.loss[[0, 2]], straight.loss[[0, 2]], rtol=1e-12)
        assert abs(found.loss[1] - straight.loss[1]) > 1e-6

    def test_needs_an_example(self):
        model, a, b = pair("mlp")
        with pytest.raises(ValueError, match="`example` must be given for homogeneous biases"):
            interpolate(model, a, b, 0.5, "homogeneous")
        with pytest.raises(ValueError, match="`bias` must be one of linear, homogeneous; got 'cubic'"):
            interpolate(model, a, b, 0.5, "cubic")
        with pytest.raises(ValueError, match=r"`lam` must be in \[0, 1\]; got 2"):
            interpolate(model, a, b, 2.0)


def test_knows_the_tasks():
    _, a, _ = pair("mlp")
    with pytest.raises(ValueError, match="`task` must be one of classes, signs, values; got 'words'"):
        examples(*data("mlp"), "words", None, a)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lambdas": [0.0, 0.5, 0.5, 1.0]}, r"`lambdas` must rise within \[0, 1\]"),
        ({"lambdas": [0.0, 1.5]}, r"`lambdas` must rise within \[0, 1\]"),
        ({"y": torch.zeros(3, dtype=torch.int64)}, "`y` must have a row for each of the 40 rows"),
        ({"X": torch.zeros(0, 12)}, "`X` must have at least one example"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"renormalize": "mend"}, "`method` must be one of repair, rescale, reshift, reset; got 'mend'"),
    ],
)
def test_says_what_is_wrong(change, message):
    model, a, b = pair("mlp")
    X, y = data("mlp")
    with pytest.raises(ValueError, match=message):
        path(model, a, b, **({"X": X, "y": y} | change))
