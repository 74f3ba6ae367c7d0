import numpy as np
import pytest

from engine.analysis.shuffling import dataset, optimum
from engine.training import fixed_features
from engine.training.orderings import ordering
from tests.engine.training.toys import TOYS, ran, seeds, stack_of, toy

ASKED = {
    "distance_to_own_optimum": 10,
    "distance_to_reshuffled_optimum": 10,
    "distance_to_full_optimum": 10,
    "excess_risk": 10,
}


def linear(**changes):
    model = {"depth": 0, "normalize_inputs": True, "bias": False, "affine": "scale"}
    model |= changes.pop("model_settings", {})
    changes = {"dataset": "toy-values", "cadence": ASKED, "lr": 0.02} | changes
    return toy(**{"model": "linear-network", "model_settings": model, "batch_size": 4} | changes)


def distance(matrix, best):
    return np.sqrt(((matrix - best) ** 2).sum()) / np.sqrt((best**2).sum())


@pytest.mark.parametrize("normalized", [True, False])
def test_distances_are_to_the_optima_of_each_data_order(normalized):
    study = linear(model_settings={"normalize_inputs": normalized})
    got = ran(study, seeds(study, 2, 9))
    split = TOYS["toy-values"].load()
    X, Y = split.train_inputs, split.train_targets
    for replica, seed in enumerate([2, 9]):
        weights = list(got.kept[replica, study.steps].values())
        matrix = weights[-1] * weights[0] if normalized else weights[0]
        own = ordering("SS").order(len(X), seed, 0)
        row = got.rows[replica, study.steps]
        for name, order in (("own", own), ("reshuffled", "rr"), ("full", "gd")):
            data = dataset(X, Y, 4, order, 1e-5) if normalized else (X, Y)
            assert row[f"distance_to_{name}_optimum"] == pytest.approx(
                distance(matrix, optimum(*data)), abs=1e-9
            )
        features = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5) if normalized else X
        best = np.linalg.lstsq(features, Y, rcond=None)[0].T
        risks = [((features @ one.T - Y) ** 2).sum(1).mean() for one in (matrix, best)]
        assert row["excess_risk"] == pytest.approx(risks[0] - risks[1], rel=1e-9)
        assert row["full_batch_risk"] == pytest.approx(risks[0], rel=1e-9)


def test_optima_follow_the_replicas_that_stay():
    study = linear()
    stack, alone = stack_of(study, seeds(study, 0, 1, 2)), stack_of(study, seeds(study, 2))
    stack.keep(np.array([False, False, True]))
    together, apart = (one.advance(10).snapshot.measure().columns for one in (stack, alone))
    for name in ASKED:
        np.testing.assert_allclose(together[name], apart[name], rtol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_settings": {"depth": 1}},
        {"cadence": {}},
        {"cadence": dict.fromkeys(ASKED, 0)},
    ],
)
def test_features_that_move_or_that_nobody_asks_for_have_no_optima(changes):
    study = linear(**changes)
    assert not set(ASKED) & set(stack_of(study, seeds(study, 0)).advance(10).snapshot.measure().columns)


@pytest.mark.parametrize("settings", [{"bias": True}, {"affine": "scale and shift"}])
def test_a_bias_beside_the_matrix_has_no_such_optimum(settings):
    study = linear(model_settings=settings)
    assert not set(ASKED) & set(stack_of(study, seeds(study, 0)).advance(10).snapshot.measure().columns)


def test_labels_have_no_least_squares_optimum():
    study = linear(dataset="toy-signs")
    assert not set(ASKED) & set(stack_of(study, seeds(study, 0)).advance(10).snapshot.measure().columns)


def test_the_optima_that_no_seed_changes_are_computed_once(monkeypatch):
    study, computed = linear(lr=0.031), []

    def counted(X, Y, batch, order, eps):
        computed.append(order if isinstance(order, str) else "own")
        return dataset(X, Y, batch, order, eps)

    fixed_features._shared.cache_clear()
    monkeypatch.setattr(fixed_features, "dataset", counted)
    stack_of(study, seeds(study, 0, 1))
    stack_of(study, seeds(study, 2))
    assert sorted(computed) == ["gd", "own", "own", "own", "rr"]
    stack_of(linear(batch_size=5), seeds(study, 2))
    assert computed.count("rr") == 2
