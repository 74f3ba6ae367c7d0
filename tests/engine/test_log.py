"""The client: what a training loop logs is what the store holds, however the loop ends."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from data.errors import LabError
from data.store import Store, open_store
from engine.jobs.queue import reap
from engine.log import Run
from engine.metrics import OF_WEIGHTS, of_weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "lab", create=True)


def test_what_is_logged_is_there_with_missing_values_and_new_metrics(store: Store) -> None:
    with Run("mine", "SGD", 3, store.root, steps=6, config={"lr": 0.1}, flush_seconds=0) as run:
        for step in range(6):
            values = {"val/loss": 1.0 / 3 - step} if step >= 4 else {}
            run.log(step, epoch=step / 2, loss=torch.tensor(0.1) * step, **values)
    frame = store.traces.frame("mine", ["loss", "val/loss"])
    assert frame["step"].tolist() == list(range(6))
    assert frame["epoch"].tolist() == [step / 2 for step in range(6)]
    assert frame["loss"].tolist() == [float(torch.tensor(0.1) * step) for step in range(6)]
    assert frame["val/loss"].isna().tolist() == [True] * 4 + [False] * 2
    assert frame["val/loss"][5] == 1.0 / 3 - 5
    (row,) = store.catalog.runs("mine")
    assert (row.arm, row.seed, row.status, row.step, row.config) == ("SGD", 3, "done", 5, {"lr": 0.1})
    assert row.finals == {"loss": float(torch.tensor(0.1) * 5), "val/loss": 1.0 / 3 - 5}
    assert [(job.kind, job.status) for job in store.catalog.jobs()] == [("log", "done")]
    assert [study.source for study in store.catalog.studies()] == ["client"]


def test_the_14_metrics_are_those_of_plain_loops(store: Store) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2)).double()
    with Run("mine", "A", 0, store.root) as run:
        run.log(0, loss=1.0, weights=model)
        run.log(1, loss=1.0, weights=dict(model.named_parameters()))
    frame = store.traces.frame("mine", list(OF_WEIGHTS))
    matrices = [model[0].weight.detach().numpy(), model[3].weight.detach().numpy()]
    biases = np.concatenate([model[at].bias.detach().numpy() for at in (0, 1, 3)])
    entries = np.concatenate([matrix.ravel() for matrix in matrices])
    singular = [np.linalg.svd(matrix, compute_uv=False) for matrix in matrices]
    expected = {
        "l1": np.mean([abs(matrix).sum() for matrix in matrices]),
        "l2": np.mean([np.sqrt((matrix**2).sum()) for matrix in matrices]),
        "l1_over_l2": np.mean([abs(matrix).sum() / np.sqrt((matrix**2).sum()) for matrix in matrices]),
        "mean_w": entries.mean(),
        "median_w": np.sort(entries)[(len(entries) - 1) // 2],
        "var_w": entries.var(ddof=1),
        "mean_b": biases.mean(),
        "median_b": np.sort(biases)[(len(biases) - 1) // 2],
        "var_b": biases.var(ddof=1),
        "trace": np.mean([np.trace(matrix) for matrix in matrices]),
        "spectral_norm": np.mean([values[0] for values in singular]),
        "trace_over_spectral_norm": np.mean(
            [np.trace(matrix) / values[0] for matrix, values in zip(matrices, singular, strict=True)]
        ),
        "mean_singular_value": np.mean([values.mean() for values in singular]),
        "var_singular_value": np.mean([values.var(ddof=1) for values in singular]),
    }
    assert set(expected) == set(OF_WEIGHTS)
    for name, value in expected.items():
        assert frame[name].tolist() == pytest.approx([value] * 2, rel=1e-9), name
    assert {row.name: row.source for row in store.catalog.metrics("mine")}["l2"].startswith("Hu")
    with pytest.raises(ValueError, match="must hold a weight matrix"):
        of_weights({"bias": torch.zeros(3)})


@pytest.mark.parametrize(
    ("losses", "status", "at"),
    [
        ([1, 2, math.nan, math.nan], "diverged", 2),
        ([1, math.inf, 2, 3], "done", None),
        ([math.inf], "diverged", 0),
    ],
)
def test_a_loss_that_does_not_come_back_diverged(store: Store, losses: list[float], status: str, at) -> None:
    with Run("mine", "A", 0, store.root) as run:
        for step, loss in enumerate(losses):
            run.log(step, train_loss=loss, other=math.nan)
    (row,) = store.catalog.runs("mine")
    assert (row.status, row.diverged_at) == (status, at)
    np.testing.assert_array_equal(store.traces.frame("mine", ["train_loss"])["train_loss"], losses)


@pytest.mark.parametrize(
    ("error", "status", "job"),
    [(RuntimeError("out of luck"), "failed", "failed"), (KeyboardInterrupt(), "stopped", "stopped")],
)
def test_an_exception_ends_the_run_and_keeps_its_rows(store: Store, error, status: str, job: str) -> None:
    def train() -> None:
        with Run("mine", "A", 0, store.root) as run:
            run.log(0, loss=1.0)
            raise error

    with pytest.raises(type(error)):
        train()
    assert [row.status for row in store.catalog.runs("mine")] == [status]
    (ended,) = store.catalog.jobs()
    assert ended.status == job
    assert store.traces.count("mine") == 1
    if status == "failed":
        assert "RuntimeError: out of luck" in (ended.error or {})["message"]


def test_killed_it_keeps_every_flushed_row(store: Store) -> None:
    program = (
        "import os, signal\nfrom engine.log import Run\n"
        f"run = Run('mine', 'A', 0, {str(store.root)!r}, flush_seconds=0)\n"
        "for step in range(5): run.log(step, loss=step)\n"
        "run.flush()\nrun.log(5, loss=5)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert store.traces.frame("mine", ["loss"])["loss"].tolist() == [0, 1, 2, 3, 4]
    reap(store)
    assert [row.status for row in store.catalog.runs("mine")] == ["stopped"]
    assert store.traces.count("mine") == 5


def test_others_can_ask_it_to_stop(store: Store) -> None:
    with Run("mine", "A", 0, store.root, flush_seconds=0) as run:
        run.log(0, loss=1.0)
        run.log(1, loss=1.0)
        assert not run.stop_requested
        store.catalog.request_stop(store.catalog.jobs()[0].id)
        run.log(2, loss=1.0)
        assert run.stop_requested


def test_seeds_side_by_side_and_a_run_again(store: Store) -> None:
    runs = [Run("mine", arm, seed, store.root) for arm in "AB" for seed in range(2)]
    for step in range(3):
        for place, run in enumerate(runs):
            run.log(step, loss=place + step)
    for run in runs:
        run.finish()
        run.finish()
    with Run("mine", "A", 0, store.root) as again:
        again.log(0, loss=-1.0)
    frame = store.traces.frame("mine", ["loss"])
    assert frame.groupby(["arm", "seed"])["loss"].apply(list).to_dict() == {
        ("A", 0): [-1], ("A", 1): [1, 2, 3], ("B", 0): [2, 3, 4], ("B", 1): [3, 4, 5],
    }  # fmt: skip


def test_more_of_the_newest_row_may_follow(store: Store) -> None:
    with Run("mine", "A", 0, store.root, flush_seconds=0) as run:
        run.log(0, loss=1.0)
        run.log(1, loss=2.0)
        run.log(1, accuracy=0.5, loss=3.0)
        run.flush()
        with pytest.raises(ValueError, match="above 1"):
            run.log(1, other=1.0)
    frame = store.traces.frame("mine", ["loss", "accuracy"])
    assert frame["loss"].tolist() == [1, 3]
    assert frame["accuracy"].isna().tolist() == [True, False]


@pytest.mark.parametrize("step", [-1, 0.5, True])
def test_steps_must_be_whole_and_later(store: Store, step: float) -> None:
    run = Run("mine", "A", 0, store.root)
    run.log(0, loss=1.0)
    with pytest.raises(ValueError, match="whole number above 0"):
        run.log(step, loss=1.0)  # type: ignore[arg-type]
    run.finish()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "high"}, "`loss` must be one number"),
        ({"loss": torch.ones(2)}, "one number"),
        ({}, "needs a metric"),
    ],
)
def test_values_must_be_numbers(store: Store, values: dict[str, object], message: str) -> None:
    with Run("mine", "A", 0, store.root) as run, pytest.raises(ValueError, match=message):
        run.log(0, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["run", "Step", "value"])
def test_a_name_that_rows_have_is_refused_at_once(store: Store, name: str) -> None:
    with Run("mine", "A", 0, store.root) as run, pytest.raises(ValueError, match="that name is taken"):
        run.log(0, **{name: 1.0})


@pytest.mark.parametrize(
    ("study", "arm", "seed"), [("", "A", 0), ("s", " ", 0), ("s", "A", -1), ("s", "A", 1.5)]
)
def test_names_and_seeds_that_cannot_be(store: Store, study: str, arm: str, seed) -> None:
    with pytest.raises(ValueError):
        Run(study, arm, seed, store.root)
    assert not store.catalog.studies()


def test_a_study_of_the_engine_is_not_written_to(store: Store) -> None:
    store.catalog.save_study("digits", "Digits", "A claim.", {}, "engine")
    with pytest.raises(LabError, match="trained here"):
        Run("digits", "A", 0, store.root)
    assert not store.catalog.jobs()


@pytest.mark.parametrize(("study", "arm"), [("a/b", "A"), ("<b>", "A"), ("x" * 201, "A"), ("mine", "a\nb")])
def test_names_are_held_to_the_rule_of_imports(store: Store, study: str, arm: str) -> None:
    with pytest.raises(LabError, match="can be no"):
        Run(study, arm, 0, store.root)
    with pytest.raises(ValueError, match=r"2\*\*62"):
        Run("mine", "A", 2**62, store.root)
    assert not store.catalog.studies()


def test_a_metrics_name_has_a_limit(store: Store) -> None:
    with Run("mine", "A", 0, store.root) as run, pytest.raises(ValueError, match="200 characters"):
        run.log(0, **{"x" * 201: 1.0})
