"""The excess risk of the tail average against a training that is replayed by hand, one step at a time."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.metrics import metrics
from engine.training.orderings import ordering
from tests.engine.metrics.example import random, state
from tests.engine.training.toys import ran, seeds, stack_of, toy

BOTH = {"excess_risk": 10, "tail_excess_risk": 10}


def linear(**changes):
    model = {"depth": 0, "bias": False}
    data = {"dataset": "gaussian-regression", "dataset_settings": {"rows": 26, "features": 5}}
    settings = {"cadence": BOTH, "lr": 0.02, "batch_size": 4, "epochs": 5}
    return toy(**{"model": "linear-network", "model_settings": model} | data | settings | changes)


def replayed(study, seed, rounds, settings):
    """Return the starts of the epochs of a training by the gradient of squared error, in numpy."""
    split, arm = study.load(), study.arms[0]
    X, Y = split.train_inputs, split.train_targets
    M, starts, step = stack_of(study, seeds(study, seed)).weights(np.array([True])).parameters, [], 0
    (M,) = (value[0] for value in M.values())
    for epoch in range(rounds):
        order = ordering(arm.ordering).order(len(X), seed, epoch, **settings)
        starts.append(M)
        for first in range(0, len(order), study.batch):
            if step == study.steps:
                break
            rows = order[first : first + study.batch]
            M = M - study.lr * 2 * (X[rows] @ M.T - Y[rows]).T @ X[rows] / len(rows)
            step += 1
    return X, Y, starts


@pytest.mark.parametrize(
    ("name", "settings", "rounds"),
    [("RR", {}, 5), ("RS2", {"fraction": 0.3}, 18)],  # 26 rows: 35 steps, or 18 rounds of 8 rows in 2 steps
)
def test_it_is_that_of_the_mean_of_the_starts_of_the_last_half(name, settings, rounds):
    study = linear(ordering=name, **settings)
    got = ran(study, seeds(study, 3, 8))
    for replica, seed in enumerate([3, 8]):
        X, Y, starts = replayed(study, seed, rounds, settings)
        mean = np.mean([start for k, start in enumerate(starts, 1) if k > rounds / 2], axis=0)
        best = np.linalg.lstsq(X, Y, rcond=None)[0].T
        risk, least = (((X @ matrix.T - Y) ** 2).sum(1).mean() for matrix in (mean, best))
        row = got.rows[replica, study.steps]
        assert row["tail_excess_risk"] == pytest.approx(risk - least, rel=1e-8)
        assert row["tail_excess_risk"] != pytest.approx(row["excess_risk"], rel=1e-3)


def test_of_a_trained_scale_the_parameters_are_averaged_and_not_their_product():
    model = {"depth": 0, "normalize_inputs": True, "bias": False, "affine": "scale"}
    study = linear(
        model_settings=model, evaluate_every=7, cadence=dict.fromkeys(BOTH, 7), checkpoints=(14, 21, 28)
    )
    got = ran(study, seeds(study, 1))
    scale, weight = (
        np.mean([list(got.kept[0, step].values())[place] for step in (14, 21, 28)], axis=0)
        for place in (0, 1)
    )
    split = study.load()
    X, Y = split.train_inputs, split.train_targets
    features = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5)
    best = np.linalg.lstsq(features, Y, rcond=None)[0].T
    risk, least = (((features @ matrix.T - Y) ** 2).sum(1).mean() for matrix in (weight * scale, best))
    assert got.rows[0, study.steps]["tail_excess_risk"] == pytest.approx(risk - least, rel=1e-8)


def test_it_is_measured_from_the_second_half_on_without_any_other_metric_of_the_average():
    study = linear(evaluate_every=7, cadence={"tail_excess_risk": 7})
    got = ran(study, seeds(study, 0))
    assert min(got.column("tail_excess_risk")) == 21  # epochs 3, 4, 5 of 5 begin at steps 14, 21, 28


def test_it_keeps_its_digits_where_a_difference_of_risks_has_none():
    now, apart = state(), 1e-9 * random(9, 3, 6)
    near = dataclasses.replace(now, tail_matrix=(now.optima.full + apart).expand(3, -1, -1))
    expected = (apart @ now.features.T).square().sum().item() / 7
    assert expected < 1e-15
    assert metrics()["tail_excess_risk"].compute(near).tolist() == pytest.approx([expected] * 3, rel=1e-6)


def test_a_seed_that_is_not_finite_spoils_no_neighbour():
    now = state()
    spoilt = now.tail_matrix.clone()
    spoilt[1, 0, 0] = torch.nan
    clean, got = (metrics()["tail_excess_risk"].compute(one) for one in (now, state(tail_matrix=spoilt)))
    assert torch.equal(got[[0, 2]], clean[[0, 2]])
    assert got[1].isnan()
