import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.connectivity.barriers import barriers
from engine.connectivity.curves import coefficients, curve, curve_path
from engine.connectivity.path import path
from tests.engine.connectivity.pairs import data, loaded, pair


def trained(seed, X, y):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(model(X), y).backward()
        optimizer.step()
    return model


@pytest.fixture(scope="module")
def rings():
    """Two networks that tell a disc from what is around it."""
    X = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)) * 1.5
    y = (X.norm(dim=1) > 1.5).long()
    return trained(1, X, y), trained(2, X, y), X, y


@pytest.mark.parametrize("kind", ["bezier", "polyline"])
def test_a_curve_goes_from_one_end_to_the_other(kind):
    t = np.linspace(0, 1, 11)
    found = coefficients(kind, t)
    np.testing.assert_array_equal(found[0], [1, 0, 0])
    np.testing.assert_array_equal(found[-1], [0, 0, 1])
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(found, found[::-1, ::-1], atol=1e-15)


def test_points_of_curves_by_hand():
    np.testing.assert_allclose(coefficients("bezier", np.array([0.3])), [[0.49, 0.42, 0.09]])
    np.testing.assert_allclose(
        coefficients("polyline", np.array([0.2, 0.5, 0.7])), [[0.6, 0.4, 0], [0, 1, 0], [0, 0.6, 0.4]]
    )
    with pytest.raises(ValueError, match="`kind` must be one of bezier, polyline; got 'arc'"):
        coefficients("arc", np.array([0.5]))


@pytest.mark.parametrize("kind", ["bezier", "polyline"])
def test_a_trained_curve_has_no_higher_barrier_than_the_line(kind, rings):
    a, b, X, y = rings
    line = barriers(path(a, a.state_dict(), b.state_dict(), X, y))
    found = curve(a, a.state_dict(), b.state_dict(), X, y, seed=0, kind=kind, steps=300, lr=0.02)
    assert line.loss_chord > 0.1
    assert barriers(found.path).loss_chord < line.loss_chord / 2
    assert found.losses.shape == (300,)
    straight = curve(a, a.state_dict(), b.state_dict(), X, y, seed=0, kind=kind, steps=0)
    assert barriers(straight.path).loss_chord == pytest.approx(line.loss_chord, rel=1e-5)


@pytest.mark.parametrize("kind", ["bezier", "polyline"])
def test_the_path_of_a_curve_is_the_loss_of_the_networks_on_it(kind):
    model, a, b = pair("mlp, batch")
    X, y = data("mlp, batch")
    found = curve(model, a, b, X, y, seed=3, kind=kind, steps=5, t=[0.0, 0.3, 0.8, 1.0])
    for weights, loss in zip(coefficients(kind, found.path.lambdas), found.path.loss, strict=True):
        state = {key: weights[0] * a[key] + weights[1] * found.bend[key] + weights[2] * b[key] for key in a}
        with torch.no_grad():
            outputs = loaded(model, state)(X)
        assert loss == pytest.approx(float(functional.cross_entropy(outputs, y)), rel=1e-12)
    again = curve_path(model, a, found, b, X, y, t=[0.0, 0.3, 0.8, 1.0])
    np.testing.assert_array_equal(again.loss, found.path.loss)


def test_a_step_follows_the_gradient_with_respect_to_the_bend():
    model, a, b = pair("mlp")
    X, y = data("mlp")
    found = curve(model, a, b, X, y, seed=5, steps=1, optimizer="sgd", lr=0.1)
    t = np.random.default_rng(5).uniform()
    start = {key: (a[key] + b[key]) / 2 for key in a}
    here = {
        key: ((1 - t) ** 2 * a[key] + 2 * t * (1 - t) * start[key] + t**2 * b[key]).requires_grad_()
        for key in a
    }
    loss = functional.cross_entropy(torch.func.functional_call(model, here, (X,)), y)  # all are one batch
    gradients = torch.autograd.grad(loss, list(here.values()))
    assert found.losses[0] == pytest.approx(loss.item(), rel=1e-12)
    for key, gradient in zip(here, gradients, strict=True):
        expected = start[key] - 0.1 * 2 * t * (1 - t) * gradient
        torch.testing.assert_close(found.bend[key], expected, rtol=1e-10, atol=1e-12)


def test_a_seed_fixes_the_curve_and_progress_is_told():
    model, a, b = pair("mlp")
    X, y = data("mlp")
    told = []
    first, again, other = (
        curve(model, a, b, X, y, seed=seed, steps=4, batch_size=8, progress=lambda *now: told.append(now))
        for seed in (0, 0, 1)
    )
    assert told[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    np.testing.assert_array_equal(first.losses, again.losses)
    assert (first.losses != other.losses).all()


def test_says_what_is_wrong():
    model, a, b = pair("mlp")
    X, y = data("mlp")
    with pytest.raises(ValueError, match="`steps` must be at least 0, `batch_size` at least 1"):
        curve(model, a, b, X, y, seed=0, steps=-1)
    with pytest.raises(ValueError, match="`optimizer` must be one of adam, sgd; got 'lion'"):
        curve(model, a, b, X, y, seed=0, optimizer="lion")
    with pytest.raises(ValueError, match="`lr` must let the training converge; the loss is"):
        curve(model, a, b, X, y, seed=0, steps=200, optimizer="sgd", lr=1e100)
