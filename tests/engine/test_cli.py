import contextlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from data.store import open_store
from engine.cli.main import commands, main
from engine.jobs import queue
from engine.jobs.progress import duration
from engine.jobs.request import request
from engine.studies import studies

ROOT = Path(__file__).resolve().parents[2]
STUDY = "digits-shuffling@epochs=2"
TRAIN = ("train", "digits-shuffling", "--seeds", "2", "--set", "epochs=2")


def start(*words: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def engine(*words: object, **environment: str) -> tuple[int, str, str]:
    process = start(*words, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def answer(*words: object) -> Any:
    """Run a command in this process, which saves a start of Python, and return what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = main([*map(str, words), "--json"])
    assert status == 0
    return json.loads(out.getvalue())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a tiny study in it, as `train` leaves it."""
    root = tmp_path_factory.mktemp("cli") / "lab"
    data = answer("--store", root, *TRAIN)
    assert data.pop("seconds") > 0
    assert data == {"job": 1, "study": STUDY, "status": "done", "runs": 8, "rows": 8 * 65}
    return root


# Bad input: one message, exit status 1, nothing made.


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("train", "no-such-study"), "no-such-study"),
        (("train", "digits-shuffling", "--arms", "SS,XX"), "XX"),
        (("train", "digits-shuffling", "--set", "nope=1"), "nope"),
        (("train", "digits-shuffling", "--set", "epochs"), "epochs"),
        (("train", "digits-shuffling", "--set", "epochs=many"), "many"),
        (("train", "digits-shuffling", "--set", "epochs=0"), "0"),
        (("train", "digits-shuffling", "--set", "epochs=1000000000"), "free"),
        (("train", "digits-shuffling", "--device", "tpu"), "tpu"),
        (("train", "digits-shuffling", "--set", "model.width=0"), "width"),
        (("train", "digits-shuffling", "--set", "model.norm=layer"), "layer"),
        (("train", "digits-shuffling", "--set", "model.wide=3"), "wide"),
        (("train", "digits-shuffling", "--set", "model.bias=no"), "'no'"),
        (("train", "digits-shuffling", "--set", "lr=0.1", "--set", "lr=0.2"), "'0.2'"),
        *(
            (("train", "digits-shuffling", f"--seeds={text}"), text)
            for text in ("0..", "5..2", "x", "-1", "0", "1..-2")
        ),
        (("studies", "--store", "postgresql://me:secret@host/db"), "postgresql://"),
        (("jobs",), "lab"),
        (("jobs", "--watch"), "lab"),
        (("train", "digits-shuffling", "--checkpoint-seconds", "-1"), "-1"),
        (("train", "digits-shuffling", "--checkpoint-seconds", "nan"), "nan"),
        (("resume", "1"), "lab"),
        (("cancel", "1"), "lab"),
        (("fit", "digits-shuffling"), "lab"),
        (("compare", "digits-shuffling"), "lab"),
        (("export", "digits-shuffling", "out.csv"), "lab"),
        (("worker", "--job", "1"), "lab"),
        (("bench", "no-such-benchmark"), "no-such-benchmark"),
        (("serve", "--host", "0.0.0.0"), "0.0.0.0"),
        (("serve", "--host", "example.org"), "example.org"),
        (("serve", "--port", "70000"), "70000"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_input_is_one_message_and_changes_nothing(
    words: tuple[str, ...],
    named: str,
    as_json: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETOUR_STORE", raising=False)
    assert main([*(["--json"] if as_json else []), *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err
    assert 3 <= len(err.splitlines()) <= 5
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_training_says_how_many_runs_diverged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "digits-shuffling", "--seeds=2", "--arms", "RR no BN", "--set", "lr=1e9")
    assert main(["--store", str(tmp_path / "lab"), *words]) == 0
    assert "2 of the runs diverged" in capsys.readouterr().out


@pytest.mark.parametrize("words", [TRAIN, ("studies",), ("jobs",), ("worker",), ("serve",)])
def test_a_store_that_is_a_file_is_refused(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab"
    path.write_text("mine")
    assert main([*words, "--store", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "is a file" in err
    assert snapshot(tmp_path) == {str(path): b"mine"}


@pytest.mark.parametrize("words", [TRAIN, ("jobs",), ("export", STUDY, "out.csv")])
def test_a_store_of_a_newer_version_is_refused(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "lab"
    open_store(root, create=True).close()
    connection = sqlite3.connect(root / "catalog.sqlite")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = snapshot(root)
    assert main(["--store", str(root), *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "newer version" in err
    assert snapshot(root) == before


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nope",),
        ("train",),
        ("train", "digits-shuffling", "--sed", "3"),
        ("train", "digits-shuffling", "--arms", ""),
        ("cancel", "x"),
        ("resume",),
        ("resume", "x"),
        ("jobs", "1"),
    ],
)
def test_wrong_usage_is_exit_status_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_a_defect_shows_its_traceback_and_is_told_apart(tmp_path: Path) -> None:
    code = (
        "import runpy, sys, engine.cli.commands.studies as studies; studies.locate = None;"
        "sys.argv = ['x', 'studies']; runpy.run_module('engine', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "TypeError" in done.stderr


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_help_with_store_and_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert "--store" in told
    assert "--json" in told


# What the commands do.


def test_options_may_stand_before_or_after_the_command(lab: Path) -> None:
    before = engine("--store", lab, "--json", "jobs")
    assert before[0] == 0
    assert (
        before[1]
        == engine("jobs", "--store", lab, "--json")[1]
        == engine("jobs", "--json", DETOUR_STORE=str(lab))[1]
    )


def test_jobs_are_listed(lab: Path) -> None:
    first = answer("--store", lab, "jobs")[-1]
    assert first["job"] == 1
    assert first["study"] == STUDY
    assert first["status"] == "done"
    assert first["step"] == first["steps"] > 0


def test_studies_are_listed_with_what_is_here(lab: Path, tmp_path: Path) -> None:
    told = answer("--store", lab, "studies")
    demo = next(one for one in told["studies"] if one["study"] == "digits-shuffling")
    assert demo["arms"] == ["SS", "RR", "SS no BN", "RR no BN"]
    expected = studies()["digits-shuffling"].expected_seconds
    assert (demo["seeds"], demo["steps"], demo["expected_seconds"]) == (16, 6400, expected)
    assert told["also_in_store"] == [STUDY]
    process = subprocess.run(
        [sys.executable, "-m", "engine", "studies"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"about {duration(expected)} on 2 cores" in process.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet", "duckdb"])
def test_export_writes_tidy_rows(lab: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    told = answer("--store", lab, "export", STUDY, path)
    assert told == {"study": STUDY, "path": str(path), "rows": 8 * 65}
    if suffix == "duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            frame = connection.execute("SELECT * FROM traces").df()
    else:
        frame = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert list(frame.columns[:5]) == ["study", "arm", "seed", "step", "epoch"]
    assert len(frame) == 8 * 65
    keys = list(frame[["arm", "seed", "step"]].itertuples(index=False, name=None))
    assert keys == sorted(keys)
    assert {"batch_loss", "own_batch_risk", "full_batch_risk", "l2"} <= set(frame.columns)


def test_export_refuses_an_unknown_suffix_and_an_unknown_study(lab: Path, tmp_path: Path) -> None:
    for study, name in ((STUDY, "out.xlsx"), ("nope", "out.csv")):
        assert main(["--store", str(lab), "export", study, str(tmp_path / name)]) == 1
    assert list(tmp_path.iterdir()) == []


def test_compare_takes_the_studys_own_comparisons(lab: Path) -> None:
    effects = answer("--store", lab, "compare", STUDY)["effects"]
    assert [(one["a"], one["b"], one["role"], one["metric"]) for one in effects] == [
        ("SS", "RR", "treatment", "own_batch_risk"),
        ("SS", "RR", "treatment", "full_batch_risk"),
        ("SS no BN", "RR no BN", "control", "own_batch_risk"),
        ("SS no BN", "RR no BN", "control", "full_batch_risk"),
    ]
    for one in effects:
        assert one["low"] <= one["ratio"] <= one["high"]
        # Two pairs have four sign patterns, of which the observed one and its negative are the extreme.
        assert (one["n"], one["exact"]) == (2, True)
        assert one["p"] in (0.5, 1.0)


@pytest.mark.parametrize("arms", ["SS", "SS,SS", "SS,RR,SS no BN", "SS,nope"])
def test_compare_needs_two_arms_of_the_study(
    lab: Path, arms: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--store", str(lab), "compare", STUDY, "--arms", arms]) == 1
    assert arms in capsys.readouterr().err


def test_a_comparison_is_that_of_the_exported_rows(lab: Path) -> None:
    effect = answer("--store", lab, "compare", STUDY, "--arms", "SS,RR")["effects"][0]
    store = open_store(lab)
    frame = store.traces.frame(STUDY, ["own_batch_risk"])
    store.close()
    # Evaluated at steps 0 and 64, so the last tenth is the second of the two points.
    last = frame[frame["step"] == 64].set_index(["arm", "seed"])["own_batch_risk"]
    ratios = last["SS"] / last["RR"]
    assert effect["ratio"] == pytest.approx(float((ratios.prod()) ** (1 / len(ratios))), rel=1e-6)


@pytest.mark.slow
def test_fit_is_computed_once(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    study = answer("--store", root, *TRAIN[:-2], "--seeds=6", "--arms", "SS", "--set", "epochs=12")["study"]
    words = (
        "--store",
        root,
        "fit",
        study,
        "--states",
        "1..2",
        "--restarts",
        "2",
        "--metrics",
        "l2,var_w,trace",
    )
    first = answer(*words)
    assert first["status"] == "done"
    assert first["summary"]["n_states"] in (1, 2)
    assert {run["seed"] for run in first["summary"]["runs"]} == set(range(6))
    assert first["summary"]["requested"] == ["l2", "var_w", "trace"]
    again = answer(*words)
    assert again == first
    assert len(answer("--store", root, "jobs")) == 2
    assert answer(*words, "--seed", "1")["analysis"] != first["analysis"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--states", "8..1"), "8..1"),
        (("--states", "0"), "0"),
        (("--states", "many"), "many"),
        (("--metrics", "l2,nope"), "nope"),
        (("--arms", "nope"), "nope"),
        (("--normalize", "nope"), "nope"),
        (("--covariance", "nope"), "nope"),
        (("--restarts", "0"), "0"),
        (("--seed", "-1"), "-1"),
    ],
)
def test_a_fit_that_cannot_be_is_refused_before_a_job(
    lab: Path, words: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(answer("--store", lab, "jobs"))
    assert main(["--store", str(lab), "fit", STUDY, *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err
    assert len(answer("--store", lab, "jobs")) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_training_and_keeps_its_rows(tmp_path: Path, number: signal.Signals) -> None:
    root = tmp_path / "lab"
    words = ("--store", root, "--json", "train", "digits-shuffling", "--arms", "SS", "--seeds", "1")
    process = start(*words, "--set", "epochs=100000")
    try:
        running(root)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    data = json.loads(out)
    assert data["status"] == "stopped"
    assert data["rows"] > 0
    store = open_store(root)
    assert store.catalog.job(data["job"]).status == "stopped"
    assert {run.status for run in store.catalog.runs()} == {"stopped"}
    assert store.traces.count(data["study"]) == data["rows"]
    store.close()


@pytest.mark.slow
def test_a_stopped_training_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "lab"
    words = ("--store", root, "train", "digits-shuffling", "--arms", "SS", "--seeds", "1")
    process = start(*words, "--set", "epochs=200")
    try:
        running(root)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "python -m engine resume 1" in out
    store = open_store(root)
    (row,) = store.catalog.checkpoints(1, "state")
    before = store.catalog.runs()[0]
    assert 0 < row.step <= before.step < 6400
    rows = store.traces.count(before.study)
    data = answer("--store", root, "resume", 1)
    assert data.pop("seconds") > 0
    assert data == {"job": 1, "study": before.study, "status": "done", "runs": 1, "rows": 6401}
    assert rows < store.traces.count(before.study) == 6401
    (after,) = store.catalog.runs()
    assert (after.id, after.status, after.step) == (before.id, "done", 6400)
    told = answer("--store", root, "jobs")
    assert [(job["job"], job["status"], job["step"], job["steps"]) for job in told] == [
        (1, "done", 6400, 6400)
    ]
    store.close()


def test_what_cannot_be_resumed_is_refused_and_nothing_is_changed(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = answer("--store", lab, "jobs")
    capsys.readouterr()
    for job, told in (("1", "The job is done"), ("99", "no job 99")):
        assert main(["--store", str(lab), "resume", job]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert told in err
    assert answer("--store", lab, "jobs") == before


def test_cancel_stops_a_job_from_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    store = open_store(root, create=True)
    wanted = request("digits-shuffling", {"epochs": "100000"}, ["SS"], "1")
    id = queue.submit(store, "train", wanted.study.name, wanted.spec)
    process = queue._started[id]
    try:
        running(root)
        assert answer("--store", root, "cancel", id)["stop_requested"] is True
        assert answer("--store", root, "jobs", "--watch")[0]["status"] == "stopped"
    finally:
        process.kill()
        process.wait()
    assert main(["--store", str(root), "cancel", str(id)]) == 1
    assert main(["--store", str(root), "cancel", "99"]) == 1
    store.close()


def running(root: Path) -> None:
    """Wait until the store's job has written something."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if (root / "catalog.sqlite").exists():
            store = open_store(root)
            jobs = store.catalog.jobs()
            store.close()
            if jobs and jobs[0].step > 0:
                return
        time.sleep(0.2)
    raise AssertionError("The job wrote nothing in 90 s.")


def test_a_worker_runs_what_is_queued_and_ends_on_a_signal(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    store = open_store(root, create=True)
    wanted = request("digits-shuffling", {"epochs": "1"}, ["SS"], "1")
    bad = store.catalog.create_job("train", "nope", {"study": "nope", "seeds": [0]}).id
    good = store.catalog.create_job("train", wanted.study.name, wanted.spec).id
    process = start("--store", root, "worker")
    try:
        deadline = time.monotonic() + 90
        while store.catalog.job(good).status != "done" and time.monotonic() < deadline:
            time.sleep(0.2)
        process.terminate()
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert store.catalog.job(good).status == "done"
    assert store.catalog.job(bad).status == "failed"
    assert (process.returncode, out) == (0, "Ran 2 jobs.\n"), err
    store.close()


def test_serve_answers_prints_its_address_and_ends_cleanly(tmp_path: Path) -> None:
    process = start("--store", tmp_path / "lab", "--json", "serve", "--headless")
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)", told["address"])[1])  # type: ignore[index]
        with urllib.request.urlopen(told["address"], timeout=30) as page:
            assert page.status == 200
        status, _, err = engine("--store", tmp_path / "lab", "serve", "--headless", "--port", port)
        assert status == 1
        assert str(port) in err
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert out == ""
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(told["address"], timeout=5)


def test_a_reader_that_goes_away_is_no_error(lab: Path) -> None:
    process = start("--store", lab, "jobs")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Error" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0


def test_the_disk_is_looked_at_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert main(["--store", str(tmp_path / "lab"), *TRAIN]) == 1
    assert "1,000 bytes free" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
