"""Every metric against a slow reference: one replica, one matrix, one number at a time, in NumPy."""

import numpy as np
import pytest
import torch

from engine.metrics import State, Weights, metrics

SEEDS = 3


def parameters():
    """A model of two matrices, a convolution kernel, a normalization and biases, in float64."""
    generator = torch.Generator().manual_seed(4)
    shapes = {
        "conv.weight": (5, 2, 3, 3),
        "hidden.weight": (6, 8),
        "hidden.bias": (6,),
        "norm.weight": (6,),
        "norm.bias": (6,),
        "out.weight": (6, 8),
        "out.bias": (4,),
    }
    return {
        name: torch.randn(SEEDS, *shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def matrices(stacked, seed):
    return [value[seed].numpy().reshape(value.shape[1], -1) for value in stacked.values() if value.ndim >= 3]


def entries(stacked, seed, kind):
    if kind == "w":
        return np.concatenate([matrix.ravel() for matrix in matrices(stacked, seed)])
    return np.concatenate([stacked[name][seed].numpy() for name in stacked if name.endswith("bias")])


def diagonal_sum(matrix):
    return sum(matrix[index, index] for index in range(min(matrix.shape)))


def singular(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def lower_median(values):
    return np.sort(values)[(len(values) - 1) // 2]


PER_MATRIX = {
    "l1": lambda m: sum(abs(w) for w in m.ravel()),
    "l2": lambda m: sum(w * w for w in m.ravel()) ** 0.5,
    "l1_over_l2": lambda m: sum(abs(w) for w in m.ravel()) / sum(w * w for w in m.ravel()) ** 0.5,
    "trace": diagonal_sum,
    "spectral_norm": lambda m: singular(m).max(),
    "trace_over_spectral_norm": lambda m: diagonal_sum(m) / singular(m).max(),
    "mean_singular_value": lambda m: singular(m).sum() / min(m.shape),
    "var_singular_value": lambda m: (
        # sum s^2 = ||W||_F^2, so the nuclear norm suffices
        ((m**2).sum() - singular(m).sum() ** 2 / min(m.shape)) / (min(m.shape) - 1)
    ),
}
POOLED = {
    "mean": lambda values: sum(values) / len(values),
    "median": lower_median,
    "var": lambda values: ((values - values.mean()) ** 2).sum() / (len(values) - 1),
}


def softmax_loss(logits, labels):
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        total -= row[label] - np.log(np.exp(row - row.max()).sum()) - row.max()
    return total / len(labels)


TRAIN = (
    torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    torch.arange(7) % 3,
)
TEST = (
    torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)),
    torch.arange(4) % 3,
)
READ_OUT = torch.randn(SEEDS, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
STEP = {
    "a": torch.randn(SEEDS, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5)),
    "b": torch.randn(SEEDS, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(6)),
}


def logits_of(inputs):
    return torch.einsum("ef,sfc->sec", inputs, READ_OUT)


def state(stacked, step=True):
    return State(
        weights=Weights(stacked),
        own_losses=lambda: torch.tensor([0.5, 0.25, 0.125]),
        logits=logits_of,
        train=TRAIN,
        test=TEST,
        gradients=STEP if step else None,
        updates={name: -2 * value for name, value in STEP.items()} if step else None,
    )


def reference(name, stacked, seed):
    if name in PER_MATRIX:
        return np.mean([PER_MATRIX[name](matrix) for matrix in matrices(stacked, seed)])
    if name.rsplit("_", 1)[-1] in ("w", "b"):
        statistic, kind = name.split("_")
        return POOLED[statistic](entries(stacked, seed, kind))
    if name == "own_batch_risk":
        return [0.5, 0.25, 0.125][seed]
    if name == "full_batch_risk":
        return softmax_loss(logits_of(TRAIN[0])[seed].numpy(), TRAIN[1].numpy())
    if name == "test_loss":
        return softmax_loss(logits_of(TEST[0])[seed].numpy(), TEST[1].numpy())
    if name == "test_accuracy":
        guesses = [max(range(3), key=lambda c: row[c]) for row in logits_of(TEST[0])[seed].tolist()]
        return sum(guess == label for guess, label in zip(guesses, TEST[1].tolist(), strict=True)) / 4
    squares = sum(float(value[seed].square().sum()) for value in STEP.values())
    return {"gradient_norm": 1, "update_norm": 2}[name] * squares**0.5


@pytest.mark.parametrize("name", sorted(metrics()))
def test_a_metric_equals_its_slow_reference(name):
    stacked = parameters()
    got = metrics()[name].compute(state(stacked))
    assert got.shape == (SEEDS,)
    for seed in range(SEEDS):
        assert got[seed].item() == pytest.approx(reference(name, stacked, seed), rel=1e-10, abs=1e-12)


def test_the_fourteen_metrics_of_hu_et_al_are_there():
    assert len(PER_MATRIX) + 6 == 14
    assert set(PER_MATRIX) | {f"{s}_{k}" for s in POOLED for k in "wb"} <= set(metrics())


@pytest.mark.parametrize("name", sorted(metrics()))
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_seed_that_is_not_finite_spoils_no_neighbour(name, bad):
    stacked = parameters()
    clean = metrics()[name].compute(state(stacked))
    for value in stacked.values():
        value[1].flatten()[0] = bad
    got = metrics()[name].compute(state(stacked))
    assert torch.equal(got[[0, 2]], clean[[0, 2]])
    if name in PER_MATRIX or name[:4] in ("mean", "var_"):
        assert not got[1].isfinite()


@pytest.mark.parametrize("name", sorted(metrics()))
def test_a_metric_says_what_it_is(name):
    metric = metrics()[name]
    assert metric.label[0].isupper()
    assert metric.formula
    assert metric.source


def test_before_the_first_step_there_is_no_step_to_measure():
    for name in ("gradient_norm", "update_norm"):
        assert metrics()[name].compute(state(parameters(), step=False)) is None


def test_a_model_without_biases_has_none_to_measure():
    stacked = {"only.weight": torch.ones(SEEDS, 4, 4)}
    for name in ("mean_b", "median_b", "var_b"):
        assert metrics()[name].compute(state(stacked)) is None


def test_singular_values_in_float32_are_those_of_float64_to_float32_precision():
    stacked = parameters()
    wide = Weights(stacked).singular_values
    narrow = Weights({name: value.float() for name, value in stacked.items()}).singular_values
    for a, b in zip(wide, narrow, strict=True):
        torch.testing.assert_close(b.double(), a, rtol=1e-5, atol=1e-5 * float(a.max()))
