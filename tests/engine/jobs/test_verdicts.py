"""A verdict is computed once for the same runs, data and rules, and anew when one of them changes."""

import errno

import numpy as np
import pytest

from data import analyses
from data.errors import LabError
from engine.jobs import verdicts
from engine.jobs.verdicts import judged
from engine.studies import study, verdict
from tests.engine.studies.synthetic import record

NAME = "dormant-redo"


def filled(root, **status):
    curves = {
        (arm, seed): {
            "dormant_fraction": np.full(20, (0.05 if arm == "ReDo" else 0.3) + 0.001 * seed),
            "test_accuracy": np.full(20, 0.97 + 0.001 * seed),
        }
        for arm in ("plain", "ReDo")
        for seed in range(8)
    }
    return record(root, study(NAME), curves, np.arange(20) * 64, **status)


@pytest.fixture
def asked(monkeypatch):
    """Count how often a study is judged."""
    calls = []

    def counted(name):
        judge = verdict(name)
        return judge and (lambda store: calls.append(name) or judge(store))

    monkeypatch.setattr(verdicts, "verdict", counted)
    return calls


def test_it_is_computed_once_and_comes_back_whole(tmp_path, asked):
    store = filled(tmp_path / "lab")
    first = judged(store, NAME)
    assert first == verdict(NAME)(store)
    assert judged(store, NAME) == first
    assert asked == [NAME]
    (row,) = store.catalog.analyses(NAME, "verdict")
    assert row.data_version == store.traces.version(NAME)


def test_other_runs_or_other_rules_are_judged_anew(tmp_path, asked, monkeypatch):
    store = filled(tmp_path / "lab")
    judged(store, NAME)
    store.catalog.update_runs([{"id": 1, "status": "failed"}])
    found = judged(store, NAME)
    assert found.n == 7
    monkeypatch.setattr(verdicts, "_rules", lambda: "other")
    assert judged(store, NAME) == found
    assert len(asked) == 3


def test_while_a_run_trains_nothing_is_kept(tmp_path, asked):
    store = filled(tmp_path / "lab", status={("ReDo", 7): "running"})
    assert judged(store, NAME).n == 8
    assert judged(store, NAME) is not None
    assert len(asked) == 2
    assert store.catalog.analyses(NAME) == []


def test_a_store_that_cannot_be_written_is_judged_all_the_same(tmp_path, monkeypatch, caplog):
    def full(aside, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(analyses, "put_in_place", full)
    assert judged(filled(tmp_path / "lab"), NAME).n == 8
    assert "is not kept" in caplog.text


def test_nothing_to_judge_is_no_verdict(store):
    assert judged(store, NAME) is None
    assert judged(store, "uploaded") is None


def test_what_the_verdict_lacks_is_said(tmp_path, monkeypatch):
    def gone(name):
        def judge(store):
            raise LabError("File not found", "There is no `mine.npz`.", "Name it.")

        return judge

    monkeypatch.setattr(verdicts, "verdict", gone)
    with pytest.raises(LabError, match=r"mine\.npz"):
        judged(filled(tmp_path / "lab"), NAME)
