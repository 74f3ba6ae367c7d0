"""An import counts whole or not at all, can be undone and done again, and never doubles a file."""

import io
from pathlib import Path

import pytest

from data.errors import LabError
from data.importing.gathering import Given
from data.importing.intake import ABANDONED_S, Intake, clear_abandoned, find, safe_name
from data.importing.roles import Corrections
from data.importing.staging import StoppedReading
from data.rows import UploadRow
from data.store import Store, open_store

CSV = "step,loss,accuracy\n0,1.5,0.25\n1,0.1,\n2,nan,0.75\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "lab", create=True)


def received(store: Store, files: dict[str, str]) -> Intake:
    return Intake.receive(store, {name: io.BytesIO(content.encode()) for name, content in files.items()})


def imported(
    store: Store, files: dict[str, str], study: str = "mine", said: Corrections | None = None
) -> UploadRow:
    intake = received(store, files)
    intake.read(store.catalog.imported_files(study))
    job = store.catalog.create_job("import_logs", study, {}).id
    return intake.commit(store, job, study, said or Corrections(), "a person", "1.0")


def snapshot(store: Store) -> tuple[object, ...]:
    catalog = store.catalog
    return catalog.studies(), catalog.runs(), catalog.uploads(), sorted(store.segments.iterdir())


def test_rows_are_those_of_the_file_to_the_last_bit(store: Store) -> None:
    row = imported(store, {"seed_4.csv": CSV})
    table = store.traces.table("mine", ["loss", "accuracy"]).to_pydict()
    assert table["step"] == [0, 1, 2]
    assert table["loss"][:2] == [1.5, 0.1]
    assert str(table["loss"][2]) == "nan"
    assert table["accuracy"] == [0.25, None, 0.75]
    (run,) = store.catalog.runs("mine")
    assert (run.arm, run.seed, run.status, run.diverged_at) == ("all", 4, "diverged", 2)
    assert (row.runs, row.rows, row.who, row.undone_at) == (1, 3, "a person", None)
    (file,) = row.files
    assert (file["name"], file["size"], file["importer"]) == ("seed_4.csv", len(CSV), "delimited")
    assert not list(store.uploads.iterdir())


def test_undo_and_redo(store: Store) -> None:
    first = imported(store, {"seed_0.csv": CSV})
    second = imported(store, {"seed_1.csv": CSV.replace("1.5", "2.5")})
    assert [run.seed for run in store.catalog.runs("mine")] == [0, 1]
    store.catalog.undo_upload(first.id)
    assert [run.seed for run in store.catalog.runs("mine")] == [1]
    assert store.traces.count("mine") == 3
    with pytest.raises(LabError, match="undone already"):
        store.catalog.undo_upload(first.id)
    store.catalog.undo_upload(second.id)
    assert store.catalog.studies() == []
    store.catalog.redo_upload(first.id)
    assert [run.seed for run in store.catalog.runs("mine")] == [0]
    with pytest.raises(LabError, match="was not undone"):
        store.catalog.redo_upload(first.id)
    with pytest.raises(LabError, match="no import 9"):
        store.catalog.undo_upload(9)


def test_the_same_file_is_recognized_and_not_doubled(store: Store) -> None:
    row = imported(store, {"seed_0.csv": CSV})
    before = snapshot(store)
    intake = received(store, {"another name.csv": CSV, "seed_1.csv": CSV.replace("1.5", "7")})
    staged = intake.read(store.catalog.imported_files())
    assert [(one.name, one.why) for one in staged.skipped] == [
        ("another name.csv", "it was imported before, into `mine`")
    ]
    assert [file["name"] for file in staged.files] == ["seed_1.csv"]
    assert snapshot(store) == before
    store.catalog.undo_upload(row.id)
    assert not store.catalog.imported_files()
    imported(store, {"seed_0.csv": CSV})
    with pytest.raises(LabError, match="imported anew"):
        store.catalog.redo_upload(row.id)


def test_what_fails_in_the_last_moment_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(store, {"seed_0.csv": CSV})
    before = snapshot(store)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(type(store.catalog), "add_upload", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        imported(store, {"seed_1.csv": CSV.replace("1.5", "7")})
    assert snapshot(store) == before


def test_ids_that_were_reserved_are_never_given_again(store: Store) -> None:
    job = store.catalog.create_job("import_logs", "x", {}).id
    first = store.catalog.reserve_runs(job, 3)
    assert not store.catalog.studies()
    assert not store.catalog.runs()
    assert set(first).isdisjoint(store.catalog.reserve_runs(job, 3))


def test_a_trained_study_is_not_mixed_with_others_runs(store: Store) -> None:
    store.catalog.save_study("digits", "Digits", "A claim.", {}, "engine")
    with pytest.raises(LabError, match="trained here"):
        imported(store, {"seed_0.csv": CSV}, "digits")
    assert not store.catalog.runs()


@pytest.mark.parametrize("name", ["", " x", "a/b", "<b>", "x" * 201, "../x", "a\nb"])
def test_names_that_no_study_can_have(store: Store, name: str) -> None:
    with pytest.raises(LabError, match="can be no study's name"):
        imported(store, {"seed_0.csv": CSV}, name)
    assert not store.catalog.studies()


def test_a_refused_plan_leaves_the_former_one(store: Store) -> None:
    intake = received(store, {"seed_0.csv": CSV})
    plan = intake.plan()
    with pytest.raises(LabError, match="No file has a column"):
        intake.plan(Corrections.parse(["step=nothing"]))
    kept = intake.planned
    assert kept is not None
    assert kept[1].to_json() == plan.to_json()
    assert intake.plan().to_json() == plan.to_json()


def test_found_by_its_token_until_it_is_gone(store: Store) -> None:
    intake = received(store, {"seed_0.csv": CSV})
    assert find(store, intake.token).plan().to_json() == intake.plan().to_json()
    intake.discard()
    for token in (intake.token, "..", "../lab", ""):
        with pytest.raises(LabError, match="no upload"):
            find(store, token)


def test_uploads_that_nobody_finished_are_cleared_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = received(store, {"seed_0.csv": CSV})
    clear_abandoned(store)
    assert intake.folder.exists()
    now = intake.folder.stat().st_mtime
    monkeypatch.setattr("data.importing.intake.time.time", lambda: now + ABANDONED_S + 1)
    clear_abandoned(store)
    assert not intake.folder.exists()


def test_reading_can_be_stopped(store: Store) -> None:
    intake = received(store, {"seed_0.csv": CSV, "seed_1.csv": CSV})
    with pytest.raises(StoppedReading):
        intake.read(progress=lambda done, total, text: done == 1)
    assert intake.staged is None
    assert len(intake.read().files) == 2


def test_a_file_that_changes_while_it_is_read_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "seed_0.csv"
    path.write_text(CSV)
    digests = iter(["before", "after"])
    monkeypatch.setattr("data.importing.staging.sha256", lambda path: next(digests))
    staged = Intake.begin(tmp_path / "intake", [Given(path.name, path)]).read()
    assert [one.why for one in staged.skipped] == ["it changed while it was read"]
    assert not staged.files
    assert not staged.rows


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a/b.csv", "a/b.csv"),
        ("../../b.csv", "b.csv"),
        ("/etc/b.csv", "etc/b.csv"),
        ("C:\\x\\b.csv", "C:/x/b.csv"),
        ("..", "file"),
        ("a\0b", "ab"),
    ],
)
def test_names_of_uploaded_files_lead_nowhere(given: str, name: str) -> None:
    assert safe_name(given) == name


def test_a_metric_is_called_as_the_study_has_it(store: Store) -> None:
    imported(store, {"seed_0.csv": CSV})
    imported(store, {"seed_1.csv": CSV.replace("loss", "Loss").replace("1.5", "7")})
    assert [metric.name for metric in store.catalog.metrics("mine")] == ["loss", "accuracy"]
    assert [sorted(run.finals) for run in store.catalog.runs("mine")] == [["accuracy", "loss"]] * 2
    assert store.traces.frame("mine", ["loss"])["loss"].tolist()[3] == 7


def test_of_two_imports_of_one_file_at_once_one_counts(store: Store) -> None:
    first, second = (received(store, {"seed_0.csv": CSV}) for _ in range(2))
    for intake in (first, second):
        intake.read(store.catalog.imported_files("mine"))
    jobs = [store.catalog.create_job("import_logs", "mine", {}).id for _ in range(2)]
    first.commit(store, jobs[0], "mine", Corrections(), "a person", "1.0")
    before = snapshot(store)
    with pytest.raises(LabError, match="took them while"):
        second.commit(store, jobs[1], "mine", Corrections(), "a person", "1.0")
    assert snapshot(store) == before
