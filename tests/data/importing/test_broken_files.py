"""Hundreds of broken files: never a crash, never half a file, always a reason."""

import re
from pathlib import Path

import pytest

from data.errors import LabError
from data.importing.gathering import Given
from data.importing.intake import Intake
from data.importing.limits import Limits
from data.importing.roles import Corrections
from data.store import open_store
from tests.data.importing.broken import corpus

LIMITS = Limits(small_bytes=1 << 20, expanded_bytes=64 << 20, rows=1_000_000)


def written(folder: Path, files: dict[str, bytes]) -> list[Given]:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [Given("all", folder)]


def test_of_a_broken_corpus_every_file_is_taken_whole_or_skipped_with_a_reason(tmp_path: Path) -> None:
    files = corpus()
    assert len(files) >= 300
    good = b"step,loss\n0,1\n1,0.5\n"
    intake = Intake.begin(tmp_path / "intake", written(tmp_path / "all", files | {"good.csv": good}), LIMITS)
    staged = intake.read()
    taken = {file["name"].removeprefix("all/") for file in staged.files}
    skipped = {one.name.removeprefix("all/"): one for one in staged.skipped}
    assert "good.csv" in taken
    unaccounted = {
        name for name in files
        if name not in taken and name not in skipped
        and not any(other.startswith(f"{name}/") for other in [*taken, *skipped])
    }  # fmt: skip
    # An empty archive holds nothing to account for; an event file of a run is read with its neighbours.
    assert {name for name in unaccounted if "tfevents" not in name and "mlruns" not in name} <= {
        "nothing.zip"
    }
    for one in skipped.values():
        assert re.fullmatch(r"[a-zA-Z`'\"0-9].{5,}", one.why, re.DOTALL), one
        assert "Traceback" not in one.why
        assert str(tmp_path) not in one.why + one.remedy, one
    # Each table's rows are there whole: as many as it is said to have.
    plan = intake.plan()
    assert sum(run.rows for run in plan.runs) <= staged.rows
    assert len(skipped) > 150


@pytest.mark.parametrize(
    "name", ["empty.csv", "pickle4.pkl", "objects.npy", "leads_out.zip", "bomb.zip", "only_magic.png"]
)
def test_a_broken_file_alone_changes_nothing_and_says_why(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path / "lab", create=True)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "lab").rglob("*") if path.is_file()}
    intake = Intake.begin(store.uploads / "one", written(tmp_path / "all", {name: corpus()[name]}), LIMITS)
    with pytest.raises(LabError, match=name) as caught:
        intake.plan(Corrections())
    assert caught.value.remedy
    intake.discard()
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "lab").rglob("*") if path.is_file()}
    assert {path for path in after if "catalog" not in path.name} == {
        path for path in before if "catalog" not in path.name
    }
    assert not store.catalog.studies()
    store.close()
