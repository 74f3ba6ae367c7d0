"""Every study begins, measures what its verdict reads, and is not judged on a single seed."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.studies import Evidence, Study, studies, study, verdict
from engine.training.loop import replicas_of, train
from engine.training.readiness import require_trainable
from tests.engine.studies.synthetic import record


def shortened(full: Study) -> Study:
    """Return the study with an evaluation after every second step."""

    def often(settings):
        found = dict(settings)
        if "evaluate_every" in found:
            found["evaluate_every"] = 2
        if "cadence" in found:
            found["cadence"] = dict.fromkeys(found["cadence"], 2)
        return found

    arms = tuple(dataclasses.replace(arm, training=often(arm.training)) for arm in full.arms)
    return dataclasses.replace(full, evaluate_every=2, cadence=dict.fromkeys(full.cadence, 2), arms=arms)


UNROLLED = pytest.param("rnn-abrupt", marks=pytest.mark.slow)  # recorded step by step: 5 s and more


@pytest.mark.parametrize("name", [*sorted(set(studies()) - {"rnn-abrupt"}), UNROLLED])
def test_a_study_can_be_trained_and_read(name, tmp_path, monkeypatch):
    definition = shortened(study(name))
    arms = [arm.name for arm in definition.arms]
    require_trainable(definition, arms, "cpu")
    replicas = replicas_of(definition, arms, [0])
    found: dict[int, dict[int, dict[str, float]]] = {index: {} for index in range(len(replicas))}
    training = train(definition, replicas, torch.device("cpu"))
    for stretch in training:
        assert not stretch.diverged
        for rows in stretch.rows:
            for at, (replica, step) in enumerate(zip(rows.replicas, rows.steps, strict=True)):
                kept = found[int(replica)].setdefault(int(step), {})
                kept.update({column: float(values[at]) for column, values in rows.columns.items()})
        if all(2 in steps and len(steps[2]) > 1 for steps in found.values()):
            break
    training.close()
    assert all(np.isfinite(list(steps[2].values())).all() for steps in found.values())
    curves = {
        (replica.arm, replica.seed): {
            column: np.array([found[index][step].get(column, np.nan) for step in (0, 2)])
            for column in found[index][2]
            if column in found[index][0]
        }
        for index, replica in enumerate(replicas)
    }
    asked = set()
    for method in ("ends", "curves"):
        original = getattr(Evidence, method)

        def noted(self, metric, *rest, _original=original):
            asked.add(metric)
            return _original(self, metric, *rest)

        monkeypatch.setattr(Evidence, method, noted)
    judge = verdict(name)
    assert judge is not None
    assert judge(record(tmp_path, definition, curves, np.array([0, 2]))).kind == "undecided"
    assert asked <= set.intersection(*(set(columns) for columns in curves.values()))


@pytest.mark.parametrize("name", sorted(studies()))
def test_a_study_says_what_it_is(name):
    definition = study(name)
    assert definition.claim.endswith(".")
    assert definition.title
    assert definition.source
    assert definition.seeds >= 8
    assert definition.expected_seconds is not None
    assert definition.expected_seconds <= 660
