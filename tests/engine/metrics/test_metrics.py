"""Every metric against a slow reference: one replica, one matrix, one number at a time."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.metrics import Weights, metrics
from tests.engine.metrics.example import (
    LAYERS,
    OWN,
    SEEDS,
    TEST,
    TRAIN,
    forward,
    one,
    parameters,
    random,
    state,
    watched,
)


def matrices(stacked, seed):
    return {
        name.removesuffix(".weight"): value[seed].numpy().reshape(value.shape[1], -1)
        for name, value in stacked.items()
        if value.ndim >= 3
    }


def biases(stacked, seed):
    return {
        name.removesuffix(".bias"): value[seed].numpy()
        for name, value in stacked.items()
        if name.endswith("bias")
    }


def diagonal_sum(matrix):
    return sum(matrix[index, index] for index in range(min(matrix.shape)))


def singular(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def norm(values):
    return sum(float(value) ** 2 for value in np.ravel(values)) ** 0.5


PER_MATRIX = {
    "l1": lambda m: sum(abs(w) for w in m.ravel()),
    "l2": norm,
    "l1_over_l2": lambda m: sum(abs(w) for w in m.ravel()) / norm(m),
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
    "median": lambda values: np.sort(values)[(len(values) - 1) // 2],
    "var": lambda values: ((values - values.mean()) ** 2).sum() / (len(values) - 1),
}
STEPS = {"gradient_norm": "gradients", "update_norm": "updates"}
OPTIMA = {
    "distance_to_own_optimum": "own",
    "distance_to_reshuffled_optimum": "reshuffled",
    "distance_to_full_optimum": "full",
}
TAILS = {"tail_average_risk": "tail", "tail_excess_risk": "tail_matrix"}
# What the parameters decide.
OF_PARAMETERS = sorted(
    set(metrics()) - {*STEPS, *TAILS, "lyapunov", "own_batch_risk", "mean_b", "median_b", "var_b"}
)


def softmax_loss(weights, data):
    total = 0.0
    for row, label in zip(forward(weights, data[0]).numpy(), data[1].tolist(), strict=True):
        total -= row[label] - np.log(np.exp(row - row.max()).sum()) - row.max()
    return total / len(data[1])


def share_correct(weights, data):
    rows = forward(weights, data[0]).tolist()
    guesses = [max(range(3), key=lambda c, row=row: row[c]) for row in rows]
    return sum(guess == label for guess, label in zip(guesses, data[1].tolist(), strict=True)) / len(rows)


def dormant_units(outputs):
    """Return which units of one nonlinearity of one replica are dormant, counting by hand."""
    sizes = [
        np.mean([abs(float(h)) for example in outputs for h in example[unit].flatten()])
        for unit in range(outputs.shape[1])
    ]
    return [size <= 0.025 * np.mean(sizes) for size in sizes]


def excess(matrix, now):
    """Return the mean squared distance of the outputs to those of the optimum, row by row."""
    apart = matrix.numpy() - now.optima.full.numpy()
    return np.mean([norm(apart @ x) ** 2 for x in now.features.numpy()])


def difference(now, seed):
    return {name: now.parameters[name] - now.initial[name] for name in now.parameters}


def reference(name, now, seed):
    """Return a metric of one replica, and its values by layer (None where it has none)."""
    weights = one(now.parameters, seed)
    if name in PER_MATRIX:
        layers = {layer: PER_MATRIX[name](m) for layer, m in matrices(now.parameters, seed).items()}
        return np.mean(list(layers.values())), layers
    if name.rsplit("_", 1)[-1] in ("w", "b"):
        statistic, kind = name.split("_")
        named = (matrices if kind == "w" else biases)(now.parameters, seed)
        layers = {layer: POOLED[statistic](values.ravel()) for layer, values in named.items()}
        return POOLED[statistic](np.concatenate([values.ravel() for values in named.values()])), layers
    if name in STEPS or name == "distance_from_init":
        stacked = getattr(now, STEPS[name]) if name in STEPS else difference(now, seed)
        together = np.concatenate([value.numpy().ravel() for value in one(stacked, seed).values()])
        return norm(together), {layer: norm(m) for layer, m in matrices(stacked, seed).items()}
    if name == "dormant_fraction":
        layers = {
            layer: dormant_units(outputs) for layer, outputs in watched(weights, now.train[0])[1].items()
        }
        together = [unit for units in layers.values() for unit in units]
        return np.mean(together), {layer: np.mean(units) for layer, units in layers.items()}
    if name in OPTIMA:
        best = getattr(now.optima, OPTIMA[name])
        best = (best[seed] if best.ndim == 3 else best).numpy()
        return norm(now.matrix[seed].numpy() - best) / norm(best), None
    if name == "sharpness":
        return None, None  # tests/engine/metrics/test_sharpness.py
    return {
        "own_batch_risk": lambda: OWN[seed].item(),
        "full_batch_risk": lambda: softmax_loss(weights, TRAIN),
        "test_loss": lambda: softmax_loss(weights, TEST),
        "tail_average_risk": lambda: softmax_loss(one(now.tail, seed), TRAIN),
        "train_accuracy": lambda: share_correct(weights, TRAIN),
        "test_accuracy": lambda: share_correct(weights, TEST),
        "lyapunov": lambda: [0.1, -0.2, 0.3][seed],
        "excess_risk": lambda: excess(now.matrix[seed], now),
        "tail_excess_risk": lambda: excess(now.tail_matrix[seed], now),
    }[name](), None


def with_dormant_units():
    """Return parameters with a silent channel and hidden unit; in the last replica all tanh units are too."""
    stacked = parameters()
    stacked["conv.weight"][:, 2] = 0
    stacked["hidden.bias"][:, 4] = -1e3
    stacked["square.weight"][2] = 0
    return stacked


@pytest.mark.parametrize("name", sorted(set(metrics()) - {"sharpness"}))
def test_a_metric_equals_its_slow_reference_altogether_and_by_layer(name):
    now = state(with_dormant_units() if name == "dormant_fraction" else None)
    metric = metrics()[name]
    got = metric.compute(now)
    layers = {} if metric.layers is None else metric.layers(now)
    assert got.shape == (SEEDS,)
    for seed in range(SEEDS):
        value, expected = reference(name, now, seed)
        assert got[seed].item() == pytest.approx(value, rel=1e-10, abs=1e-12)
        assert {layer: each[seed].item() for layer, each in layers.items()} == pytest.approx(
            expected or {}, rel=1e-10, abs=1e-12
        )


def test_the_fourteen_metrics_of_hu_et_al_are_there():
    assert len(PER_MATRIX) + 6 == 14
    assert set(PER_MATRIX) | {f"{s}_{k}" for s in POOLED for k in "wb"} <= set(metrics())


def test_what_costs_much_or_few_models_have_is_measured_only_where_asked_for():
    asked = {name for name, metric in metrics().items() if not metric.default}
    assert asked == {*OPTIMA, *TAILS, "excess_risk", "lyapunov", "sharpness"}


@pytest.mark.parametrize("name", OF_PARAMETERS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_seed_that_is_not_finite_spoils_no_neighbour(name, bad):
    metric, stacked = metrics()[name], parameters()
    clean = metric.compute(state(stacked))
    by_layer = metric.layers(state(stacked)) if metric.layers else {}
    for value in stacked.values():
        value[1].flatten()[0] = bad
    got = metric.compute(state(stacked))
    assert torch.equal(got[[0, 2]], clean[[0, 2]])
    if name != "median_w":
        assert not got[1].isfinite()
    for layer, value in by_layer.items():
        assert torch.equal(metric.layers(state(stacked))[layer][[0, 2]], value[[0, 2]])


@pytest.mark.parametrize(
    ("name", "field"), [*STEPS.items(), ("tail_average_risk", "tail"), ("distance_from_init", "initial")]
)
def test_a_step_that_is_not_finite_spoils_no_neighbour(name, field):
    clean = metrics()[name].compute(state())
    spoilt = {key: value.clone() for key, value in getattr(state(), field).items()}
    spoilt["hidden.weight"][1, 0, 0] = torch.nan
    got = metrics()[name].compute(state(**{field: spoilt}))
    assert torch.equal(got[[0, 2]], clean[[0, 2]])
    assert got[1].isnan()


@pytest.mark.parametrize("name", sorted(metrics()))
def test_a_metric_says_what_it_is(name):
    metric = metrics()[name]
    assert metric.label[0].isupper()
    assert metric.formula
    assert metric.source


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *STEPS.items(),
        ("lyapunov", "twin_growth"),
        *TAILS.items(),
        *((name, field) for name in ("excess_risk", "tail_excess_risk") for field in ("features", "optima")),
        ("excess_risk", "matrix"),
        *((name, field) for name in OPTIMA for field in ("matrix", "optima")),
    ],
)
def test_a_metric_whose_ingredient_is_missing_has_no_value(name, field):
    metric, without = metrics()[name], state(**{field: None})
    assert metric.compute(without) is None
    assert metric.layers is None or metric.layers(without) == {}


@pytest.mark.parametrize("name", ["test_loss", "test_accuracy"])
def test_without_held_out_rows_there_is_no_test(name):
    assert metrics()[name].compute(state(test=(TEST[0][:0], TEST[1][:0]))) is None


def test_signs_are_right_on_their_side_of_zero_and_cost_the_logistic_loss():
    signs = torch.tensor([1.0, -1, 1, -1, 1, 1, -1], dtype=torch.float64)
    now = state(task="signs", train=(TRAIN[0], signs), test=(TEST[0], signs[:4]))
    for seed in range(SEEDS):
        outputs = forward(one(now.parameters, seed), TRAIN[0])[:, 0].tolist()
        margins = [y * f for y, f in zip(signs.tolist(), outputs, strict=True)]
        right = [margin > 0 for margin in margins]
        expected = {
            "train_accuracy": np.mean(right),
            "full_batch_risk": np.mean([np.log(1 + np.exp(-margin)) for margin in margins]),
        }
        for name, value in expected.items():
            assert metrics()[name].compute(now)[seed].item() == pytest.approx(value, rel=1e-10)


def test_values_have_a_squared_error_and_no_accuracy():
    targets = random(7, 7, 3)
    now = state(task="values", train=(TRAIN[0], targets), test=(TEST[0], targets[:4]))
    for seed in range(SEEDS):
        rows = (forward(one(now.parameters, seed), TRAIN[0]) - targets).numpy()
        value = metrics()["full_batch_risk"].compute(now)[seed].item()
        assert value == pytest.approx(np.mean([norm(row) ** 2 for row in rows]), rel=1e-10)
    assert metrics()["train_accuracy"].compute(now) is None
    assert metrics()["test_accuracy"].compute(now) is None


def test_a_model_without_biases_has_none_to_measure():
    now = state(weights=Weights({"only.weight": torch.ones(SEEDS, 4, 4)}))
    for name in ("mean_b", "median_b", "var_b"):
        assert metrics()[name].compute(now) is None
        assert metrics()[name].layers(now) == {}


def test_one_entry_has_no_variance():
    weights = Weights({"out.weight": random(1, SEEDS, 1, 5), "out.bias": random(2, SEEDS, 1)})
    now = state(weights=weights)
    assert metrics()["var_b"].compute(now) is None
    assert metrics()["var_b"].layers(now) == {}
    assert metrics()["var_w"].compute(now) is not None


def test_a_matrix_of_one_row_is_left_out_of_the_variance_of_singular_values():
    metric = metrics()["var_singular_value"]
    row, square = random(1, SEEDS, 1, 5), random(2, SEEDS, 4, 4)
    both = state(weights=Weights({"out.weight": row, "hidden.weight": square}))
    alone = state(weights=Weights({"hidden.weight": square}))
    assert torch.equal(metric.compute(both), metric.compute(alone))
    assert list(metric.layers(both)) == ["hidden"]
    assert metric.compute(state(weights=Weights({"out.weight": row}))) is None


def test_layers_are_those_of_the_weight_matrices():
    for name in (*PER_MATRIX, "mean_w", "median_w", "var_w", *STEPS, "distance_from_init"):
        assert list(metrics()[name].layers(state())) == LAYERS


def test_excess_risk_keeps_its_digits_where_a_difference_of_risks_has_none():
    now = state()
    apart = 1e-9 * random(9, 3, 6)
    near = dataclasses.replace(now, matrix=(now.optima.full + apart).expand(SEEDS, -1, -1))
    expected = (apart @ now.features.T).square().sum().item() / 7
    assert expected < 1e-15
    assert metrics()["excess_risk"].compute(near).tolist() == pytest.approx([expected] * SEEDS, rel=1e-6)


def test_asking_for_sums_computes_no_spectrum(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a spectrum was computed")

    monkeypatch.setattr(torch.linalg, "eigvalsh", refuse)
    monkeypatch.setattr(torch.linalg, "svdvals", refuse)
    for name in ("l1", "l2", "l1_over_l2", "trace", "mean_w", "distance_from_init", "gradient_norm"):
        assert metrics()[name].compute(state()) is not None
    with pytest.raises(AssertionError):
        metrics()["spectral_norm"].compute(state())
