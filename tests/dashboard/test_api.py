"""Runs that log themselves to a server: what is sent is there, once, and nobody gets in without a token."""

import http.server
import json
import math
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard import api
from data.errors import LabError
from data.store import Store, open_store
from engine import server
from engine.log import Run
from tests.dashboard.serving import serving


class Lab:
    """A server, its store, and a token."""

    def __init__(self, store: Store, address: str) -> None:
        self.store = store
        self.address = address
        self.token = store.catalog.add_token("a laptop", "log")[1]

    def post(self, path: str, told: Any, token: str | None = None) -> tuple[int, dict[str, Any]]:
        content = told if isinstance(told, bytes) else json.dumps(told).encode()
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        request = urllib.request.Request(self.address + path, content, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("DETOUR_STORE", str(tmp_path / "lab"))
    monkeypatch.setattr(api, "DESK", api.Desk())
    monkeypatch.setattr(server, "WAIT_S", 0.01)
    store = open_store(tmp_path / "lab", create=True)
    with serving(routes()) as address:
        yield Lab(store, address)
    store.close()


def routes() -> list[Any]:
    """Return the routes, bound to the desk of the moment."""
    return [
        *api.routes("")[:1],
        api.Route("/api/runs", api._answer(lambda *told: api.DESK.begin(told[0], told[2])), methods=["POST"]),
        api.Route(
            "/api/runs/{job:int}/rows", api._answer(lambda *told: api.DESK.write(*told)), methods=["POST"]
        ),
        api.Route(
            "/api/runs/{job:int}/end", api._answer(lambda *told: api.DESK.end(*told)), methods=["POST"]
        ),
    ]


def test_a_run_logs_over_the_wire_to_the_last_bit(lab: Lab) -> None:
    with Run("mine", "A", 2, lab.address, config={"lr": 0.1}, token=lab.token, flush_seconds=0) as run:
        for step in range(5):
            more = {"val/loss": math.inf if step == 4 else 1 / 3} if step % 2 == 0 else {}
            run.log(step, epoch=step / 2, loss=0.1 * step if step < 3 else math.nan, **more)
    table = lab.store.traces.table("mine", ["loss", "val/loss"]).to_pydict()
    assert table["step"] == [0, 1, 2, 3, 4]
    assert table["loss"][:3] == [0.0, 0.1, 0.2]
    assert all(math.isnan(value) for value in table["loss"][3:])
    assert table["val/loss"] == [1 / 3, None, 1 / 3, None, math.inf]
    (row,) = lab.store.catalog.runs("mine")
    assert (row.arm, row.seed, row.status, row.diverged_at, row.config) == (
        "A",
        2,
        "diverged",
        3,
        {"lr": 0.1},
    )
    assert lab.store.catalog.tokens()[0].last_used_at is not None


def test_rows_that_are_sent_twice_count_once(lab: Lab) -> None:
    _, begun = lab.post("/api/runs", {"study": "mine", "arm": "A", "seed": 0})
    rows = {"rows": [[0, None, 0.1, {"loss": 1.0}], [1, None, 0.2, {"loss": 2.0}]], "metrics": []}
    for _ in range(3):
        assert lab.post(f"/api/runs/{begun['job']}/rows", rows) == (200, {"stop_requested": False})
    assert lab.store.traces.frame("mine", ["loss"])["loss"].tolist() == [1, 2]
    end = {"status": "done", "finals": {"loss": 2.0}, "seconds": 1.0}
    for _ in range(2):
        assert lab.post(f"/api/runs/{begun['job']}/end", end) == (200, {})
    assert [run.status for run in lab.store.catalog.runs("mine")] == ["done"]


def test_a_run_goes_on_after_its_server_went_down(lab: Lab) -> None:
    _, begun = lab.post("/api/runs", {"study": "mine", "arm": "A", "seed": 0})
    path = f"/api/runs/{begun['job']}/rows"
    assert lab.post(path, {"rows": [[0, None, 0.1, {"loss": 1.0}]]})[0] == 200
    # As a server leaves it that is killed: its lock is gone with it, its job was marked by the next one.
    api.DESK._sinks.pop(begun["job"])[0].close()
    job = lab.store.catalog.job(begun["job"])
    lab.store.catalog.finish_job(job.id, "stopped", runs="stopped")
    assert (
        lab.post(path, {"rows": [[0, None, 0.1, {"loss": 1.0}], [1, None, 0.2, {"loss": 2.0, "new": 3.0}]]})[
            0
        ]
        == 200
    )
    assert lab.store.traces.frame("mine", ["loss"])["loss"].tolist() == [1, 2]
    assert [run.status for run in lab.store.catalog.runs("mine")] == ["running"]


@pytest.mark.parametrize("token", ["", "detour_wrong", "revoked"])
@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/1/rows", "/api/runs/1/end"])
def test_nobody_gets_in_without_a_token(lab: Lab, token: str, path: str) -> None:
    if token == "revoked":
        row, token = lab.store.catalog.add_token("old", "log")
        lab.store.catalog.revoke_token(row.id)
    status, said = lab.post(path, {"study": "mine", "arm": "A", "seed": 0}, token)
    assert (status, said["title"]) == (401, "Not allowed")
    assert not lab.store.catalog.jobs()


def test_a_token_reaches_its_own_runs_only(lab: Lab) -> None:
    _, begun = lab.post("/api/runs", {"study": "mine", "arm": "A", "seed": 0})
    other = lab.store.catalog.add_token("another", "log")[1]
    for what, told in (
        ("rows", {"rows": [[0, None, 0, {"loss": 1.0}]]}),
        ("end", {"status": "done", "finals": {}, "seconds": 0}),
    ):
        assert lab.post(f"/api/runs/{begun['job']}/{what}", told, other)[0] == 403
    assert lab.store.traces.count("mine") == 0


@pytest.mark.parametrize(
    ("told", "status", "said"),
    [
        (b"{", 400, "not understood"),
        (b"[]", 400, "an object is expected"),
        (b"[" * 100_000, 400, "not understood"),
        ({}, 400, "lacks 'study'"),
        ({"study": "", "arm": "A", "seed": 0}, 400, "must be names"),
        ({"study": "x" * 201, "arm": "A", "seed": 0}, 400, "must be names"),
        ({"study": "<b>/..", "arm": "A", "seed": 0}, 409, "must begin with a letter"),
        ({"study": "mine", "arm": "A\n", "seed": 0}, 409, "printable"),
        ({"study": "mine", "arm": "A", "seed": 0, "config": {"a": "x" * (1 << 20)}}, 400, "256 KiB"),
        ({"study": "mine", "arm": "A", "seed": -1}, 400, "`seed` must be a whole number"),
        ({"study": "trained", "arm": "A", "seed": 0}, 409, "study of the engine"),
        (b" " * (api.LARGEST + 1), 413, "MiB"),
    ],
)
def test_a_call_that_makes_no_sense_changes_nothing(lab: Lab, told: Any, status: int, said: str) -> None:
    lab.store.catalog.save_study("trained", "Trained", "A claim.", {}, "engine")
    found = lab.post("/api/runs", told)
    assert found[0] == status
    assert said in found[1]["message"]
    assert not lab.store.catalog.jobs()


@pytest.mark.parametrize(
    "rows",
    [
        [[0]],
        [["x", None, 0, {"loss": 1}]],
        [[0, None, 0, {"loss": "high"}]],
        [[0, None, 0, {"run": 1}]],
        [[0, None, 0, {"loss": 10**400}]],
        [[2**63, None, 0, {"loss": 1}]],
        [[9, None, 0, {"loss": 1}], [8, None, 0, {"loss": 1}]],
        "abc",
    ],
)
def test_rows_that_make_no_sense_change_nothing(lab: Lab, rows: Any) -> None:
    _, begun = lab.post("/api/runs", {"study": "mine", "arm": "A", "seed": 0})
    status, said = lab.post(f"/api/runs/{begun['job']}/rows", {"rows": rows})
    assert (status, said["title"]) == (400, "Not understood")
    assert lab.store.traces.count("mine") == 0


def test_the_client_says_what_is_wrong(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETOUR_TOKEN", raising=False)
    with pytest.raises(LabError, match="needs a token"):
        Run("mine", "A", 0, lab.address)
    with pytest.raises(LabError, match="unknown, was revoked"):
        Run("mine", "A", 0, lab.address, token="detour_wrong")
    with pytest.raises(LabError, match="not encrypted"):
        Run("mine", "A", 0, "http://lab.example", token="x")
    with pytest.raises(LabError, match="does not answer"):
        Run("mine", "A", 0, "http://127.0.0.1:9", token="x")


def test_ready_says_nothing_else(lab: Lab) -> None:
    with urllib.request.urlopen(lab.address + "/api/ready") as answer:
        assert json.load(answer) == {"ready": True}


@pytest.mark.sqlite
def test_texts_of_tokens_are_kept_nowhere(lab: Lab) -> None:
    row, text = lab.store.catalog.add_token("laptop", "log")
    assert text.startswith("detour_")
    assert len(text) > 40
    content = (lab.store.root / "catalog.sqlite").read_bytes() + (
        lab.store.root / "catalog.sqlite-wal"
    ).read_bytes()
    assert text.encode() not in content
    assert text.removeprefix("detour_").encode() not in content
    with pytest.raises(LabError, match="no token 99"):
        lab.store.catalog.revoke_token(99)
    assert lab.store.catalog.require_token(text, "log").id == row.id


def test_a_refused_call_leaves_the_run_as_it_was(lab: Lab) -> None:
    job = lab.post("/api/runs", {"study": "mine", "arm": "A", "seed": 0})[1]["job"]
    metric = {"label": "", "unit": "", "formula": "", "source": "", "log": True}
    for step, (wrong, names) in enumerate(
        [({"LOSS": 1.0}, []), ({"run": 1.0}, []), ({"loss": 1.0}, ["run"])]
    ):
        right = [[2 * step, None, 0, {"loss": step}]]
        assert lab.post(f"/api/runs/{job}/rows", {"rows": right})[0] == 200
        told = {
            "rows": [[2 * step + 1, None, 0, wrong]],
            "metrics": [{**metric, "name": name} for name in names],
        }
        assert lab.post(f"/api/runs/{job}/rows", told)[0] == 400
    assert lab.store.traces.frame("mine", ["loss"])["loss"].tolist() == [0, 1, 2]
    assert not lab.store.catalog.metrics("mine")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/runs/{job}/end", {"status": "diverged", "finals": {}, "seconds": 0, "diverged": [2**70, "x"]}),
        ("/api/runs/{job}/end", {"status": "done", "finals": {"loss": 10**400}, "seconds": 0}),
        ("/api/runs/99999999999999999999/rows", {"rows": []}),
    ],
)
def test_numbers_that_nothing_holds_are_refused(lab: Lab, path: str, told: dict[str, Any]) -> None:
    job = lab.post("/api/runs", {"study": "mine", "arm": "A", "seed": 0})[1]["job"]
    assert lab.post(path.format(job=job), told)[0] in (400, 409)  # it makes no sense, or there is no such run
    assert lab.store.catalog.job(job).status == "running"


def test_a_token_is_sent_to_nobody_else(lab: Lab) -> None:
    reached: list[str | None] = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            reached.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        with pytest.raises(LabError, match="302"):
            Run("mine", "A", 0, f"http://127.0.0.1:{elsewhere.server_port}", token=lab.token)
        elsewhere.shutdown()
    assert not reached
    with pytest.raises(LabError, match="not encrypted"):
        Run("mine", "A", 0, "http://localhost:x@lab.example", token=lab.token)


def test_a_line_end_after_a_token_does_not_matter(lab: Lab) -> None:
    with Run("mine", "A", 0, lab.address, token=f"{lab.token}\n") as run:
        run.log(0, loss=1.0)
    assert lab.store.traces.count("mine") == 1
