"""Who may change what: each cell of the table by a direct call on the catalogue in somebody's hands."""

import copy
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data.catalog import Catalog
from data.catalog_jobs import Process
from data.catalog_people import Invited
from data.errors import LabError
from data.networks import keep
from data.people import ROLES, Person
from data.queueing import Capacity
from data.rows import MetricRow
from data.store import open_store
from tests.data.conftest import Lab
from tests.postgresql import copy_store

PEOPLE = {
    "viewer": Person("vera@lab.example", "viewer"),
    "researcher": Person("rosa@lab.example", "researcher"),
    "other": Person("otto@lab.example", "researcher"),
    "admin": Person("ada@lab.example", "admin"),
}
RESEARCHERS = {"researcher", "other", "admin"}
OWNERS = {"researcher", "admin"}
ADMINS = {"admin"}
NOBODY: set[str] = set()


class Mine:
    """A lab in which one researcher has one of everything."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.root = lab.store.root
        own = lab.catalog.acting_as(PEOPLE["researcher"])
        own.save_study("s", "S", "A claim.", {}, "engine")
        own.save_study("logs", "Logs", "", {}, "upload")
        self.queued = own.create_job("train", "s", {}).id
        self.job = own.create_job("train", "s", {}).id
        (self.run,) = lab.catalog.start_runs(self.job, "s", [("A", 0, {})], 10, "cpu")
        lab.catalog.finish_job(self.job, "stopped", runs="stopped")
        self.token = own.add_token("mine", "log")[0].id
        self.view = own.save_view("traces", "s", "As I see it", {"study": "s"}).code
        own.publish_view(self.view)
        self.note = own.add_note("s", "study", "Look at seed 3.").id
        self.report = own.save_report("A report", [{"text": "Words."}, {"view": self.view}]).code
        importing = self.importing = own.create_job("import_logs", "logs", {}).id
        self.other_view = own.save_view("runs", "logs", "Others", {}).code
        self.analysis = own.save_analysis("logs", "fit", "k", {}, {}, "p", "c", "d").id
        (reserved,) = lab.catalog.reserve_runs(importing, 1)
        run = {
            "id": reserved, "arm": "A", "seed": 0, "status": "done", "step": 1, "steps": 1, "device": "",
            "config": {}, "finals": {}, "started_at": datetime.now(UTC), "tags": [], "note": "",
        }  # fmt: skip
        segment = {
            "part": 0, "path": "x", "rows": 1, "first_step": 0, "last_step": 1, "bytes": 1, "sha256": "x",
        }  # fmt: skip
        upload = {
            "files": [{"sha256": "x", "name": "x"}], "mapping": {}, "runs": 1, "rows": 1, "skipped": [],
            "warnings": [], "who": PEOPLE["researcher"].name, "code_version": "x",
        }  # fmt: skip
        self.upload = lab.catalog.add_upload("logs", importing, [], [run], segment, upload).id
        lab.catalog.finish_job(importing, "done")
        lab.catalog.set_role("nora@lab.example", "viewer")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mine:
    store = open_store(tmp_path_factory.mktemp("rights") / "lab", create=True)
    made = Mine(Lab(store))
    store.close()
    return made


@pytest.fixture
def mine(made: Mine, tmp_path: Path) -> Iterator[Mine]:
    copy_store(made.root, tmp_path / "lab")
    store = open_store(tmp_path / "lab")
    mine = copy.copy(made)
    mine.lab = Lab(store)
    yield mine
    store.close()


Act = Callable[[Catalog, Mine], Any]

# What people do: who may, as whom it belongs to the researcher, and the words that the audit has of it.
TABLE: dict[str, tuple[set[str], str, Act]] = {
    "create_job": (RESEARCHERS, "start fit", lambda c, m: c.create_job("fit", "s", {})),
    "requeue_job": (OWNERS, "resume job", lambda c, m: c.requeue_job(m.job)),
    "request_stop": (OWNERS, "stop job", lambda c, m: c.request_stop(m.queued)),
    "note_run": (RESEARCHERS, "note run", lambda c, m: c.note_run(m.run, "a note")),
    "tag_runs": (RESEARCHERS, "tag runs", lambda c, m: c.tag_runs([m.run], ["seen"])),
    "archive_runs": (OWNERS, "archive runs", lambda c, m: c.archive_runs([m.run])),
    "delete_runs": (OWNERS, "delete runs", lambda c, m: c.delete_runs([m.run])),
    "restore_runs": (OWNERS, "restore runs", lambda c, m: c.restore_runs([m.run])),
    "pin_study": (RESEARCHERS, "pin study", lambda c, m: c.pin_study("s", True)),
    "archive_study": (OWNERS, "archive study", lambda c, m: c.archive_study("s")),
    "delete_study": (OWNERS, "delete study", lambda c, m: c.delete_study("logs")),
    "restore_study": (OWNERS, "restore study", lambda c, m: c.restore_study("s")),
    "undo_upload": (OWNERS, "undo import", lambda c, m: c.undo_upload(m.upload)),
    "redo_upload": (
        OWNERS,
        "redo import",
        lambda c, m: (m.lab.catalog.undo_upload(m.upload), c.redo_upload(m.upload)),
    ),
    "add_token": (RESEARCHERS, "make token", lambda c, m: c.add_token("mine", "read")),
    "revoke_token": (OWNERS, "revoke token", lambda c, m: c.revoke_token(m.token)),
    "save_view": (RESEARCHERS, "save view", lambda c, m: c.save_view("runs", "s", "Runs", {"study": "s"})),
    "delete_view": (OWNERS, "delete view", lambda c, m: c.delete_view(m.view)),
    "publish_view": (OWNERS, "publish view", lambda c, m: c.publish_view(m.view)),
    "unpublish_view": (OWNERS, "unpublish view", lambda c, m: c.unpublish_view(m.view)),
    "add_note": (RESEARCHERS, "write note", lambda c, m: c.add_note("s", "study", "words")),
    "delete_note": (OWNERS, "delete note", lambda c, m: c.delete_note(m.note)),
    "save_report": (RESEARCHERS, "make report", lambda c, m: c.save_report("New", [{"text": "words"}])),
    "save_report again": (
        OWNERS,
        "change report",
        lambda c, m: c.save_report("Other", [{"text": "words"}], m.report),
    ),
    "delete_report": (OWNERS, "delete report", lambda c, m: c.delete_report(m.report)),
    "set_role": (ADMINS, "set role", lambda c, m: c.set_role("nora@lab.example", "admin")),
    "shut_out": (ADMINS, "shut out", lambda c, m: c.shut_out("nora@lab.example")),
    "set_limits": (ADMINS, "set limits", lambda c, m: c.set_limits("nora@lab.example", {"queued": 1})),
    "people": (ADMINS, "", lambda c, m: c.people()),
    "audited": (ADMINS, "", lambda c, m: c.audited()),
    # Descriptions and results that those who start a job need to write; the job is in the audit.
    "save_study": (RESEARCHERS, "", lambda c, m: c.save_study("t", "T", "", {}, "engine")),
    "save_analysis": (
        RESEARCHERS,
        "",
        lambda c, m: c.save_analysis("s", "fit", "key", {}, {}, "path", "code", "data"),
    ),
    # What only the lab's own work does.
    "claim_job": (NOBODY, "", lambda c, m: c.claim_job(m.queued, 1, 1.0, "host")),
    "note_process": (NOBODY, "", lambda c, m: c.note_process(m.queued, Process(1, 1.0, "host"))),
    "take_next": (NOBODY, "", lambda c, m: c.take_next(Process(1, 1.0, "host"), Capacity(1))),
    "put_back": (NOBODY, "", lambda c, m: c.put_back(m.job, 1)),
    "release_job": (NOBODY, "", lambda c, m: c.release_job(m.job, 1)),
    "amend_spec": (NOBODY, "", lambda c, m: c.amend_spec(m.job, more=1)),
    "heartbeat": (NOBODY, "", lambda c, m: c.heartbeat(m.job, 1, 2, None, "")),
    "finish_job": (NOBODY, "", lambda c, m: c.finish_job(m.queued, "done")),
    "start_runs": (NOBODY, "", lambda c, m: c.start_runs(m.job, "s", [("B", 0, {})], 1, "cpu")),
    "update_runs": (NOBODY, "", lambda c, m: c.update_runs([{"id": m.run, "status": "done"}])),
    "advance_runs": (NOBODY, "", lambda c, m: c.advance_runs({m.run: 5})),
    "save_metrics": (
        NOBODY,
        "",
        lambda c, m: c.save_metrics("s", [MetricRow("s", "l", "", "", "", "", False)]),
    ),
    "replace_segments": (NOBODY, "", lambda c, m: c.replace_segments(m.job, [], {})),
    "reserve_runs": (NOBODY, "", lambda c, m: c.reserve_runs(m.job, 1)),
    "add_upload": (NOBODY, "", lambda c, m: c.add_upload("logs", m.job, [], [], {}, {"files": []})),
    "migrate": (NOBODY, "", lambda c, m: c.migrate()),
}
# Written by the lab for whoever comes, or with files at hand that only a job has.
OTHERS = {"arrive", "require_token", "add_checkpoint", "drop_checkpoints", "sweep_checkpoints", "add_segment"}


def writing_methods() -> set[str]:
    """Return the public methods of the catalogue that change something."""
    return {
        name
        for name, method in inspect.getmembers(Catalog, inspect.isfunction)
        if not name.startswith("_")
        and re.search(r"self\.(writing|_change_own|_put_away|_mark_study)\(", inspect.getsource(method))
    }


def test_the_table_names_every_method_that_changes_something() -> None:
    assert writing_methods() - {name.partition(" ")[0] for name in TABLE} - OTHERS == set()


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("what", TABLE)
def test_who_may_change_what(mine: Mine, what: str, who: str) -> None:
    may, action, act = TABLE[what]
    theirs, before = mine.lab.catalog.acting_as(PEOPLE[who]), len(mine.lab.catalog.audited(1000))
    if who in may:
        act(theirs, mine)
        newest = mine.lab.catalog.audited(1000)[0]
        if action:
            assert (newest.person, newest.action) == (PEOPLE[who].name, action)
    else:
        with pytest.raises(LabError, match=r"Not allowed|somebody else's"):
            act(theirs, mine)
        others = [row for row in mine.lab.catalog.audited(1000)[:-before] if row.person == PEOPLE[who].name]
        assert not others


@pytest.mark.parametrize("who", PEOPLE)
def test_who_may_keep_files(lab: Lab, who: str) -> None:
    store = lab.store.acting_as(PEOPLE[who])
    with pytest.raises(LabError) as error:
        keep(store, b"no tensors", "x.safetensors")
    assert (error.value.title == "Not allowed") == (who == "viewer")


def test_the_files_owner_may_do_everything(mine: Mine) -> None:
    catalog = mine.lab.catalog
    catalog.delete_runs([mine.run])
    assert catalog.audited()[0].person == catalog.person.name
    assert catalog.person.local


def test_mixed_runs_are_left_alone_when_one_is_somebody_elses(mine: Mine) -> None:
    theirs = mine.lab.catalog.acting_as(PEOPLE["other"])
    job = theirs.create_job("train", "s", {}).id
    (run,) = mine.lab.catalog.start_runs(job, "s", [("B", 0, {})], 10, "cpu")
    with pytest.raises(LabError, match="One of 2 runs belongs to rosa"):
        theirs.delete_runs([run, mine.run])
    assert not mine.lab.catalog.deleted_runs()
    theirs.delete_runs([run])


def test_what_belongs_to_nobody_known_is_an_administrators(lab: Lab) -> None:
    """As runs of before there were people."""
    job = lab.job()
    runs = lab.runs(job, {"A": 1})
    from sqlalchemy import update

    from data import tables

    with lab.catalog.writing("machine") as connection:
        connection.execute(update(tables.jobs).values(person=""))
    with pytest.raises(LabError, match="somebody unknown"):
        lab.catalog.acting_as(PEOPLE["researcher"]).delete_runs(runs)
    lab.catalog.acting_as(PEOPLE["admin"]).delete_runs(runs)


def test_a_study_goes_and_comes_back_with_its_runs(mine: Mine) -> None:
    catalog = mine.lab.catalog
    other = catalog.start_runs(mine.job, "s", [("A", 1, {})], 10, "cpu")
    catalog.finish_job(mine.queued, "stopped")
    catalog.delete_runs(other)
    catalog.delete_study("s")
    assert "s" not in {row.name for row in catalog.studies(archived=True)}
    assert not catalog.runs("s")
    with pytest.raises(LabError, match="no study `s`"):
        catalog.study("s")
    assert [row.name for row in catalog.deleted_studies()] == ["s"]
    catalog.restore_study("s")
    assert [run.id for run in catalog.runs("s")] == [mine.run]
    assert {run.id for run in catalog.deleted_runs("s")} == set(other)


def test_a_study_trained_anew_after_its_deletion_begins_empty(mine: Mine) -> None:
    catalog = mine.lab.catalog
    catalog.finish_job(mine.queued, "stopped")
    catalog.delete_study("s")
    catalog.save_study("s", "S", "A claim.", {}, "engine")
    assert catalog.study("s").deleted_at is None
    assert not catalog.runs("s")


def test_pinned_studies_stand_first_and_archived_ones_aside(lab: Lab) -> None:
    for name in "abc":
        lab.study(name)
    lab.catalog.pin_study("b", True)
    assert [row.name for row in lab.catalog.studies()] == ["b", "a", "c"]
    lab.catalog.archive_study("a")
    assert [row.name for row in lab.catalog.studies()] == ["b", "c"]
    assert [row.name for row in lab.catalog.studies(archived=True)] == ["b", "a", "c"]
    lab.catalog.pin_study("b", False)
    lab.catalog.restore_study("a")
    assert [row.name for row in lab.catalog.studies()] == ["a", "b", "c"]


INVITED = Invited(
    domains=("Lab.example",),
    people=("Guest@elsewhere.example",),
    admins=("ada@lab.example",),
    role="researcher",
)


@pytest.mark.parametrize(
    ("address", "role"),
    [
        ("rosa@lab.example", "researcher"),
        ("Rosa@LAB.example", "researcher"),
        ("guest@elsewhere.example", "researcher"),
        ("ada@lab.example", "admin"),
        ("eve@elsewhere.example", None),
        ("eve@notlab.example", None),
        ("eve@lab.example.evil.example", None),
        ("lab.example", None),
        ("@", None),
        ("", None),
    ],
)
def test_who_is_let_in(lab: Lab, address: str, role: str | None) -> None:
    if role is None:
        with pytest.raises(LabError, match="not invited"):
            lab.catalog.arrive(address, "Somebody", INVITED)
        assert not lab.catalog.people()
    else:
        person = lab.catalog.arrive(address, "Somebody", INVITED)
        assert (person.name, person.role, person.local) == (address.lower(), role, False)
        assert [row.name for row in lab.catalog.people()] == [address.lower()]


def test_an_administrators_word_goes_before_the_configuration(lab: Lab) -> None:
    lab.catalog.set_role("eve@elsewhere.example", "viewer")
    assert lab.catalog.arrive("eve@elsewhere.example", "Eve", INVITED).role == "viewer"
    lab.catalog.arrive("rosa@lab.example", "Rosa", INVITED)
    lab.catalog.set_role("rosa@lab.example", "viewer")
    assert lab.catalog.arrive("rosa@lab.example", "Rosa", INVITED).role == "viewer"
    lab.catalog.shut_out("rosa@lab.example")
    with pytest.raises(LabError, match="not invited"):
        lab.catalog.arrive("rosa@lab.example", "Rosa", INVITED)
    lab.catalog.set_role("rosa@lab.example", "researcher")
    assert lab.catalog.arrive("rosa@lab.example", "Rosa", INVITED).role == "researcher"


def test_nobody_locks_the_administrators_of_the_configuration_out(lab: Lab) -> None:
    lab.catalog.arrive("ada@lab.example", "Ada", INVITED)
    lab.catalog.shut_out("ada@lab.example")
    lab.catalog.set_role("ada@lab.example", "viewer")
    assert lab.catalog.arrive("ada@lab.example", "Ada", INVITED).role == "admin"
    with pytest.raises(LabError, match="That is you"):
        lab.catalog.acting_as(PEOPLE["admin"]).shut_out("ada@lab.example")


@pytest.mark.parametrize("scope", ["log", "read", "run"])
@pytest.mark.parametrize("role", [*ROLES, "shut out", "unknown"])
def test_a_token_may_no_more_than_its_maker_may_now(lab: Lab, role: str, scope: Any) -> None:
    row, text = lab.catalog.acting_as(PEOPLE["researcher"]).add_token("mine", scope)
    assert lab.catalog.require_token(text, scope) == row
    for other in {"log", "read", "run"} - {scope}:
        with pytest.raises(LabError, match="unknown, was revoked"):
            lab.catalog.require_token(text, other)  # type: ignore[arg-type]
    if role != "unknown":
        lab.catalog.set_role(row.person, "viewer" if role == "shut out" else role)  # type: ignore[arg-type]
    if role == "shut out":
        lab.catalog.shut_out(row.person)
    if role in ("shut out", "unknown"):
        with pytest.raises(LabError, match="may not use this lab"):
            lab.catalog.bearer(row)
    else:
        most = "viewer" if scope == "read" else "researcher"
        least = min(role, most, key=list(ROLES).index)
        assert lab.catalog.bearer(row) == Person(row.person, least)  # type: ignore[arg-type]


def test_people_see_their_own_tokens_and_an_administrator_all(lab: Lab) -> None:
    for who in ("researcher", "other"):
        lab.catalog.acting_as(PEOPLE[who]).add_token(who, "log")
    assert [row.name for row in lab.catalog.acting_as(PEOPLE["other"]).tokens()] == ["other"]
    assert len(lab.catalog.acting_as(PEOPLE["admin"]).tokens()) == 2


def test_a_token_ends_when_its_days_are_over(lab: Lab) -> None:
    from datetime import timedelta

    from sqlalchemy import update

    from data import tables

    row, text = lab.catalog.add_token("mine", "log", days=1)
    assert lab.catalog.require_token(text, "log").id == row.id
    with lab.catalog.writing("machine") as connection:
        late = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(tables.tokens).values(expires_at=late))
    with pytest.raises(LabError, match="is too old"):
        lab.catalog.require_token(text, "log")
    for days in (0, -1, 4000):
        with pytest.raises(ValueError, match="`days`"):
            lab.catalog.add_token("mine", "log", days=days)


def test_a_public_link_shows_its_view_until_it_is_taken_back(mine: Mine) -> None:
    catalog = mine.lab.catalog
    key = catalog.publish_view(mine.view)
    assert catalog.public_view(key).code == mine.view
    assert key.encode() not in b"".join(path.read_bytes() for path in mine.lab.store.root.glob("catalog.*"))
    again = catalog.publish_view(mine.view)
    for former in (key, "", "x" * 32, mine.view):
        with pytest.raises(LabError, match="leads nowhere"):
            catalog.public_view(former)
    catalog.unpublish_view(mine.view)
    with pytest.raises(LabError, match="leads nowhere"):
        catalog.public_view(again)
    last = catalog.publish_view(mine.view)
    catalog.delete_view(mine.view)
    with pytest.raises(LabError, match="leads nowhere"):
        catalog.public_view(last)


GUEST = Person("a guest", "viewer", study="s")
READS: dict[str, Act] = {
    "study": lambda c, m: c.study("logs"),
    "runs": lambda c, m: c.runs("logs"),
    "run_states": lambda c, m: c.run_states("logs"),
    "deleted_runs": lambda c, m: c.deleted_runs("logs"),
    "job": lambda c, m: c.job(m.importing),
    "job_runs": lambda c, m: c.job_runs(m.importing),
    "jobs": lambda c, m: c.jobs("logs"),
    "metrics": lambda c, m: c.metrics("logs"),
    "uploads": lambda c, m: c.uploads("logs"),
    "upload": lambda c, m: c.upload(m.upload),
    "analyses": lambda c, m: c.analyses("logs"),
    "analysis": lambda c, m: c.analysis(m.analysis),
    "saved_views": lambda c, m: c.saved_views("logs"),
    "saved_view": lambda c, m: c.saved_view(m.other_view),
    "notes": lambda c, m: c.notes("logs"),
    "study_jobs": lambda c, m: c.study_jobs("logs"),
    "snapshot": lambda c, m: c.snapshot("logs"),
}
LISTS = ("studies", "runs", "run_states", "deleted_runs", "jobs", "uploads", "analyses", "saved_views")


@pytest.mark.parametrize("what", READS)
def test_a_public_link_shows_nothing_of_other_studies(mine: Mine, what: str) -> None:
    READS[what](mine.lab.catalog.acting_as(PEOPLE["viewer"]), mine)
    with pytest.raises(LabError, match="shows one study only"):
        READS[what](mine.lab.catalog.acting_as(GUEST), mine)


@pytest.mark.parametrize("what", LISTS)
def test_a_guests_lists_are_of_the_one_study(mine: Mine, what: str) -> None:
    everything = getattr(mine.lab.catalog, what)()
    seen = getattr(mine.lab.catalog.acting_as(GUEST), what)()
    of = (lambda row: row.name) if what == "studies" else (lambda row: row.study)
    assert {of(row) for row in seen} <= {"s"}
    assert seen == [row for row in everything if of(row) == "s"]


def test_a_guest_reads_the_rows_of_the_one_study(mine: Mine) -> None:
    store = mine.lab.store.acting_as(GUEST)
    assert store.traces.count("s") == 0
    for ask in (store.traces.version, store.traces.count):
        with pytest.raises(LabError, match="shows one study only"):
            ask("logs")
    assert not store.catalog.reports()
    assert not store.catalog.deleted_studies()
