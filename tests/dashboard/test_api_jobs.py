"""Studies, jobs and rows of a hosted lab, asked by the command line from elsewhere, with a token."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from dashboard import api
from dashboard.api_jobs import job_routes
from data.people import Person
from data.store import Store
from engine import server
from engine.cli.main import main
from engine.jobs import queue
from tests.dashboard.lab_fixture import build
from tests.dashboard.serving import serving

STUDY = "digits-shuffling"
ROSA = Person("rosa@lab.example", "researcher")


class Lab:
    """A hosted lab, and a researcher elsewhere with tokens of every scope."""

    def __init__(self, store: Store, address: str) -> None:
        self.store, self.address = store, address
        store.catalog.set_role(ROSA.name, "researcher")
        theirs = store.acting_as(ROSA).catalog
        self.tokens = {scope: theirs.add_token(scope, scope)[1] for scope in ("read", "log", "run")}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    store = build(tmp_path / "lab", seeds=2, points=10, faults=False)
    monkeypatch.setenv("DETOUR_STORE", str(store.root))
    monkeypatch.setattr(api, "DESK", api.Desk())
    monkeypatch.setattr(server, "WAIT_S", 0.01)
    monkeypatch.setattr(queue, "pump", lambda store: [])  # nothing is trained here
    with serving(job_routes("/detour")) as address:
        yield Lab(store, f"{address}/detour")
    store.close()


@pytest.fixture
def engine(lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command against the lab's address and return its status, its JSON and its words."""

    def run(*words: str, token: str = "run") -> tuple[int, Any, str]:
        monkeypatch.setenv("DETOUR_TOKEN", lab.tokens.get(token, token))
        capsys.readouterr()
        status = main(["--store", lab.address, "--json", *words])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else None, err

    return run


def test_studies_and_jobs_read_as_on_the_machine_itself(lab: Lab, engine: Any, capsys: Any) -> None:
    for command in ("studies", "jobs"):
        assert main(["--store", str(lab.store.root), "--json", command]) == 0
        here = json.loads(capsys.readouterr().out)
        for token in ("read", "run"):
            assert engine(command, token=token) == (0, here, "")
    assert main(["--store", lab.address, "jobs"]) == 0
    assert STUDY in capsys.readouterr().out


def test_a_training_is_queued_stopped_and_resumed_from_elsewhere(lab: Lab, engine: Any) -> None:
    words = ["train", STUDY, "--seeds", "2", "--arms", "SS", "--set", "epochs=3"]
    status, told, err = engine(*words)
    assert (status, err) == (0, "")
    job = lab.store.catalog.job(told["job"])
    assert (job.person, job.status, job.study) == (ROSA.name, "queued", f"{STUDY}@epochs=3")
    assert (job.spec["arms"], job.spec["seeds"]) == (["SS"], [0, 1])
    assert told["position"] == 1
    status, told, _ = engine("cancel", str(job.id))
    assert (status, told["status"]) == (0, "stopped")
    status, told, _ = engine("resume", str(job.id))
    assert (status, told["status"]) == (0, "queued")
    assert [row.action for row in lab.store.catalog.audited()[:3]] == [
        "resume job",
        "stop job",
        "start train",
    ]
    status, told, _ = engine("train", STUDY, "--seeds", "4", "--split", "2")
    assert status == 0
    assert len(told["jobs"]) == 2


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_rows_come_whole(lab: Lab, engine: Any, tmp_path: Path, kind: str) -> None:
    assert main(["--store", str(lab.store.root), "export", STUDY, str(tmp_path / f"here.{kind}")]) == 0
    assert engine("export", STUDY, str(tmp_path / f"there.{kind}"), token="read")[0] == 0
    read = pd.read_parquet if kind == "parquet" else pd.read_csv
    pd.testing.assert_frame_equal(read(tmp_path / f"here.{kind}"), read(tmp_path / f"there.{kind}"))


def test_what_the_lab_refuses_is_said_in_its_words(lab: Lab, engine: Any, tmp_path: Path) -> None:
    for words, why in (
        (["train", "nothing"], "nothing"),
        (["train", STUDY, "--set", "epochs=many"], "epochs"),
        (["train", STUDY, "--seeds", "5000"], "runs"),
        (["cancel", "99"], "no job 99"),
        (["export", "nothing", str(tmp_path / "x.csv")], "no study `nothing`"),
        (["export", STUDY, str(tmp_path / "x.txt")], "Unknown format"),
    ):
        status, told, err = engine(*words)
        assert (status, told) == (1, None), words
        assert why in err
        assert "Traceback" not in err
    assert not list(tmp_path.glob("x.*"))
    assert not list(tmp_path.glob(".x*"))


def test_a_command_that_needs_the_folder_says_so(engine: Any) -> None:
    status, _, err = engine("check")
    assert status == 1
    assert "The store is not a folder" in err


@pytest.mark.parametrize("token", ["", "detour_wrong", "log"])
def test_nobody_reads_without_a_token_for_it(lab: Lab, token: str) -> None:
    headers = {"Authorization": f"Bearer {lab.tokens.get(token, token)}".strip()}
    for path in ("studies", "jobs", "jobs/1", f"studies/{STUDY}/rows.csv"):
        answer = httpx.get(f"{lab.address}/api/{path}", headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (401, "Not allowed")


def test_a_token_that_reads_changes_nothing(lab: Lab) -> None:
    headers = {"Authorization": f"Bearer {lab.tokens['read']}"}
    before = len(lab.store.catalog.jobs())
    for path in ("jobs", "jobs/1/stop", "jobs/1/resume"):
        assert httpx.post(f"{lab.address}/api/{path}", headers=headers, json={}).status_code == 401
    assert len(lab.store.catalog.jobs()) == before


def test_a_token_may_no_more_than_its_maker_may_now(lab: Lab) -> None:
    headers = {"Authorization": f"Bearer {lab.tokens['run']}"}
    lab.store.catalog.set_role(ROSA.name, "viewer")
    answer = httpx.post(f"{lab.address}/api/jobs", headers=headers, json={"study": STUDY})
    assert (answer.status_code, answer.json()["title"]) == (403, "Not allowed")
    assert httpx.get(f"{lab.address}/api/jobs", headers=headers).status_code == 200
    lab.store.catalog.shut_out(ROSA.name)
    assert httpx.get(f"{lab.address}/api/jobs", headers=headers).status_code == 403


def test_nobody_stops_what_is_somebody_elses(lab: Lab, engine: Any) -> None:
    other = lab.store.catalog.create_job("train", STUDY, {}).id
    status, _, err = engine("cancel", str(other))
    assert status == 1
    assert "belongs to" in err
    assert lab.store.catalog.job(other).status == "queued"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"study": 3}', b"{}", b'{"study": "x", "seeds": {}}', b"\xff", b"[" * 100_000],
)
def test_nonsense_is_answered_in_words(lab: Lab, content: bytes) -> None:
    headers = {"Authorization": f"Bearer {lab.tokens['run']}"}
    answer = httpx.post(f"{lab.address}/api/jobs", headers=headers, content=content)
    assert answer.status_code in (400, 409)
    assert set(answer.json()) == {"title", "message", "remedy"}
