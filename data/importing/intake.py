"""An import on its way: what was given, what was found in it, what it would become."""

import json
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from data.durable import refused
from data.errors import LabError
from data.importing import staged as records
from data.importing.committing import commit, study_name
from data.importing.gathering import Given, gather
from data.importing.limits import LIMITS, Limits
from data.importing.planning import Plan, plan
from data.importing.roles import Corrections
from data.importing.staged import Staged
from data.importing.staging import Progress, bounded, database, stage
from data.rows import MetricRow, UploadRow

if TYPE_CHECKING:
    from data.store import Store

ABANDONED_S = 7 * 24 * 3600.0
"""Seconds after which an import that nobody finished is cleared away."""


class Intake:
    """A folder of its own for one import.

    Args:
        folder: it; made by `begin` or `receive`.
        limits: of what is taken.
    """

    def __init__(self, folder: Path, limits: Limits = LIMITS) -> None:
        self.folder = folder
        self.limits = limits

    @classmethod
    def begin(cls, folder: Path, given: Sequence[Given], limits: Limits = LIMITS) -> Self:
        """Begin an import of files and folders where they lie; `folder` is made.

        Raises:
            LabError: something given is not there, or the disk is full.
        """
        for one in given:
            if not one.path.exists():
                raise LabError(
                    "There is no such file", f"`{one.path}` does not exist.", "Name another file or folder."
                )
        try:
            folder.mkdir(parents=True)
            told = [[one.name, str(one.path.absolute())] for one in given]
            (folder / "given.json").write_text(json.dumps(told))
        except OSError as error:
            raise refused(error, "An import", folder) from error
        return cls(folder, limits)

    @classmethod
    def receive(cls, store: "Store", contents: Mapping[str, Any], limits: Limits = LIMITS) -> Self:
        """Begin an import of uploaded files: binary streams by what they are called.

        Imports that nobody finished within a week are cleared away first.

        Raises:
            LabError: a file is too large, the disk is full, or whoever acts may change nothing; nothing is
                kept then.
        """
        store.catalog.person.require("researcher")
        clear_abandoned(store)
        folder = store.uploads / secrets.token_hex(8)
        try:
            folder.mkdir()
            given = []
            for place, (name, stream) in enumerate(contents.items()):
                path = folder / f"file{place:06d}"
                with path.open("xb") as file:
                    shutil.copyfileobj(stream, file, 1 << 20)
                given.append([safe_name(name), str(path)])
            (folder / "given.json").write_text(json.dumps(given))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise refused(error, "An upload", folder) from error
        return cls(folder, limits)

    @property
    def token(self) -> str:
        """Return the folder's name, which `find` takes."""
        return self.folder.name

    @property
    def study(self) -> str:
        """Return a name for the study, after the files."""
        return study_name([one.name for one in self._given()])

    def _given(self) -> list[Given]:
        told = json.loads((self.folder / "given.json").read_text())
        return [Given(name, Path(path)) for name, path in told]

    @property
    def staged(self) -> Staged | None:
        """Return what was found in the files; None before they were read."""
        path = self.folder / "staged.json"
        return records.from_json(path.read_text()) if path.exists() else None

    @property
    def planned(self) -> tuple[Corrections, Plan] | None:
        """Return the newest plan with what was corrected in it; None before there is one."""
        path = self.folder / "plan.json"
        if not path.exists():
            return None
        told = json.loads(path.read_text())
        return Corrections.from_json(told["said"]), Plan.from_json(told["plan"])

    def read(self, known: Mapping[str, str] | None = None, progress: Progress | None = None) -> Staged:
        """Read the files, unless that was done.

        Args:
            known: where files of these SHA-256 were imported before; they are skipped.
            progress: as of `stage`.

        Raises:
            LabError: as of `gather` and `stage`.
            StoppedReading: `progress` returned True.
        """
        if self.staged is not None:
            return self.staged
        (self.folder / "staged.duckdb").unlink(missing_ok=True)
        files = self.folder / "files"
        shutil.rmtree(files, ignore_errors=True)
        try:
            files.mkdir()
            gathered = gather(self._given(), files, self.limits)
            with bounded(self.limits.process_bytes), database(self.folder, self.limits) as connection:
                staged = stage(gathered, connection, self.limits, known, progress)
            self._keep("staged.json", records.to_json(staged))
        except OSError as error:
            raise refused(error, "An import", self.folder) from error
        finally:
            shutil.rmtree(files, ignore_errors=True)
        return staged

    def plan(self, said: Corrections | None = None) -> Plan:
        """Work out runs and rows, unless that was done with the same corrections.

        Raises:
            LabError: as of `planning.plan`; the plan before stays.
        """
        said = said or Corrections()
        before, filled = self.planned, self.folder / "filled"
        if before is not None and before[0] == said and filled.exists():
            return before[1]
        staged = self.read()
        filled.unlink(missing_ok=True)  # the rows are filled in anew from here on
        with database(self.folder, self.limits) as connection:
            planned = plan(staged, connection, said, self.limits)
        self._keep("plan.json", json.dumps({"said": said.to_json(), "plan": planned.to_json()}))
        filled.touch()
        return planned

    def commit(
        self,
        store: "Store",
        job: int,
        study: str,
        said: Corrections,
        who: str,
        code_version: str,
        described: Mapping[str, MetricRow] | None = None,
    ) -> UploadRow:
        """Import, and clear the folder away; as of `committing.commit`."""
        planned, staged = self.plan(said), self.read()
        row = commit(
            store, job, study, self.folder, staged, planned, said, self.limits, who, code_version, described
        )
        self.discard()
        return row

    def discard(self) -> None:
        """Clear everything of this import away; what was given where it lies stays."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, name: str, text: str) -> None:
        aside = self.folder / f"{name}.tmp"
        aside.write_text(text)
        aside.replace(self.folder / name)


def find(store: "Store", token: str, limits: Limits = LIMITS) -> Intake:
    """Return an upload that was received.

    Raises:
        LabError: there is none of that name; it was imported, or cleared away.
    """
    folder = store.uploads / token
    if not token.isalnum() or not (folder / "given.json").exists():
        raise LabError(
            "The upload is gone", f"There is no upload `{token[:40]}` on its way.", "Give the files again."
        )
    return Intake(folder, limits)


def clear_abandoned(store: "Store") -> None:
    """Clear away uploads that nobody finished."""
    for folder in store.uploads.iterdir():
        try:
            if time.time() - folder.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:
            continue


def safe_name(name: str) -> str:
    """Return what an uploaded file is called, without anything that leads elsewhere."""
    parts = name.replace("\\", "/").replace("\0", "").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))[-500:] or "file"
