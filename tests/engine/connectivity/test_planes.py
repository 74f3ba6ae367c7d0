import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.connectivity.planes import barycentric, plane
from tests.engine.connectivity.pairs import data, loaded, network, pair


def three(case):
    model, a, b = pair(case)
    return model, [a, b, {key: value.clone() for key, value in network(case, 7).state_dict().items()}]


def flat(state):
    return torch.cat([value.flatten() for value in state.values()])


@pytest.mark.parametrize("case", ["mlp", "cnn, batch"])
def test_the_loss_on_the_grid_is_that_of_the_networks_there(case):
    model, states = three(case)
    X, y = data(case)
    found = plane(model, states, X, y, points=4)
    assert found.loss.shape == found.accuracy.shape == (4, 4)
    for row, column in [(0, 0), (1, 3), (3, 2)]:
        state = {
            key: states[0][key] + found.x[column] * found.axes[0][key] + found.y[row] * found.axes[1][key]
            for key in states[0]
        }
        with torch.no_grad():
            outputs = loaded(model, state)(X)
        assert found.loss[row, column] == pytest.approx(float(functional.cross_entropy(outputs, y)), rel=1e-9)
        assert found.accuracy[row, column] == (outputs.argmax(1) == y).double().mean()


def test_goes_through_its_three_networks_exactly():
    model, states = three("mlp")
    X, y = data("mlp")
    found = plane(model, states, X, y, points=3)
    np.testing.assert_array_equal(barycentric(found.anchors, found.anchors), np.eye(3))
    along, across = (flat(axis) for axis in found.axes)
    assert float(along.norm()) == pytest.approx(1)
    assert float(across.norm()) == pytest.approx(1)
    assert float(along @ across) == pytest.approx(0, abs=1e-12)
    for state, (x, y) in zip(states, found.anchors, strict=True):
        torch.testing.assert_close(flat(states[0]) + x * along + y * across, flat(state))


def test_the_grid_goes_beyond_the_networks_by_the_margin():
    model, states = three("mlp")
    X, y = data("mlp")
    found = plane(model, states, X, y, points=5, margin=0.5)
    for grid, anchors in zip((found.x, found.y), found.anchors.T, strict=True):
        extent = np.ptp(anchors)
        np.testing.assert_allclose(grid[[0, -1]], [anchors.min() - extent / 2, anchors.max() + extent / 2])
        np.testing.assert_allclose(np.diff(grid), 2 * extent / 4)
    edges = plane(model, states, X, y, points=2, margin=0.0)
    with torch.no_grad():
        outputs = loaded(model, states[0])(X)
    assert edges.x[0] == edges.y[0] == 0  # of these networks; the third one could be behind the first
    assert edges.loss[0, 0] == pytest.approx(float(functional.cross_entropy(outputs, y)), rel=1e-12)


def test_says_what_is_wrong():
    model, states = three("mlp")
    X, y = data("mlp")
    with pytest.raises(ValueError, match="`states` must be three networks; got 2"):
        plane(model, states[:2], X, y)
    middle = {key: 0.3 * states[0][key] + 0.7 * states[1][key] for key in states[0]}
    with pytest.raises(ValueError, match="not on one line"):
        plane(model, [*states[:2], middle], X, y)
    with pytest.raises(ValueError, match="not on one line"):
        plane(model, [states[0], states[0], states[1]], X, y)
    with pytest.raises(ValueError, match="`points` must be at least 2 and `margin` at least 0; got 1"):
        plane(model, states, X, y, points=1)
    del states[2]["head.bias"]
    with pytest.raises(ValueError, match=r"`states\[2\]` must have all parameters of `model`; `head.bias`"):
        plane(model, states, X, y)
