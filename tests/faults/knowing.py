"""What must be in a lab whatever happens: rows that were acknowledged, and a training's very bits."""

import io
import pickle
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet
import websockets

from data.errors import LabError
from data.integrity import check, orphans
from data.store import open_store
from tests.faults.lab import Lab, training
from tests.faults.people import UNCLEAR, ask, page, value

_OF_THE_CLOCK = ("seconds",)


def rows(lab: Lab, study: str) -> "pyarrow.Table":
    """Return all rows of a study as the server exports them.

    Raises:
        LabError: the server's own, or that it says nothing of use.
    """
    status, content = ask(lab.address, f"/api/studies/{study}/rows.parquet", lab.tokens["read"])
    if status != 200:
        raise LabError("The server refused", f"{study}: status {status}, {content[:200]!r}.", "")
    return pyarrow.parquet.read_table(io.BytesIO(content))


def bits(table: "pyarrow.Table") -> dict[str, bytes]:
    """Return the columns of a training's rows, less those that say when."""
    order = table.sort_by([("arm", "ascending"), ("seed", "ascending"), ("step", "ascending")])
    kept = (name for name in order.column_names if name not in _OF_THE_CLOCK)
    return {name: pickle.dumps(order[name].to_pylist()) for name in kept}


@dataclass
class Known:
    """What was in a lab before a fault.

    Attributes:
        training: columns of the undisturbed training.
        weights: steps and hashes of its weights.
        logged: how many rows of each finished logged study.
    """

    training: dict[str, bytes] = field(default_factory=dict)
    weights: set[tuple[int, str]] = field(default_factory=set)
    logged: dict[str, int] = field(default_factory=dict)

    @property
    def studies(self) -> list[str]:
        """All studies."""
        return [training().study.name, *self.logged]

    def learn(self, lab: Lab, job: int) -> None:
        """Take the undisturbed training for what every other must be."""
        self.training, self.weights = bits(rows(lab, training().study.name)), _weights(lab, job)

    def wrong(self, lab: Lab, study: str) -> list[str]:
        """Return what is wrong with the rows of a study.

        Raises:
            LabError: they cannot be read.
        """
        table = rows(lab, study)
        if study == training().study.name:
            found = bits(table)
            other = [name for name in self.training if found.get(name) != self.training[name]]
            return [f"{study}: {table.num_rows} rows, other bits in {', '.join(other)}"] if other else []
        return logged_wrong(table, study, self.logged[study])

    def shown(self, lab: Lab, studies: list[str], damaged: bool = False) -> list[str]:
        """Return what is wrong with how some studies are shown; of damaged ones, clear errors are right."""
        found = []
        for study in studies:
            try:
                found += self.wrong(lab, study)
            except LabError as error:
                if not damaged or error.title in UNCLEAR:
                    found.append(f"rows of {study}: {error}")
            for name in ("studies", "traces"):
                try:
                    unclear, clear = page(lab.address, name, study)
                except (OSError, TimeoutError, websockets.WebSocketException) as error:
                    unclear, clear = [f"{type(error).__name__}: {error}"], []
                found += [f"page {name} of {study}: {one}" for one in unclear + ([] if damaged else clear)]
        return found

    def training_wrong(self, lab: Lab, job: int) -> list[str]:
        """Return what is wrong with a training that is done, in files and rows."""
        found = self.wrong(lab, training().study.name)
        if (weights := _weights(lab, job)) != self.weights:
            found.append(f"weights of job {job} differ: {sorted(weights ^ self.weights)}")
        return found


def logged_wrong(table: "pyarrow.Table", study: str, count: int) -> list[str]:
    """Return what is wrong with a logged study of which `count` rows, from step 0 on, are to be there."""
    found = dict(zip(table["step"].to_pylist(), table["loss"].to_pylist(), strict=True))
    wrong = []
    if len(found) != table.num_rows:
        wrong.append(f"{study}: {table.num_rows - len(found)} rows are there twice")
    if missing := set(range(count)) - set(found):
        wrong.append(f"{study}: {len(missing)} of {count} rows are lost, from step {min(missing)} on")
    if other := [step for step, loss in found.items() if loss != value(study, step)]:
        wrong.append(f"{study}: {len(other)} rows have other values")
    return wrong


def _weights(lab: Lab, job: int) -> set[tuple[int, str]]:
    with closing(open_store(lab.root)) as store:
        return {(row.step, row.sha256) for row in store.catalog.checkpoints(job, "weights")}


def state_wrong(lab: Lab, jobs: list[int]) -> list[str]:
    """Return what is not true or left over of jobs that ended, and all that `check` finds."""
    found = []
    with closing(open_store(lab.root)) as store:
        for job in jobs:
            row, runs = store.catalog.job(job), store.catalog.job_runs(job)
            if row.status != "done" or not runs or any(run.status != "done" for run in runs):
                found.append(
                    f"job {job} ({row.kind}) is {row.status}, its runs {[run.status for run in runs]}"
                )
            if len(segments := store.catalog.segments([job])) != 1:
                found.append(f"job {job} ({row.kind}) has {len(segments)} sealed files")
            if (store.journals / str(job)).exists():
                found.append(f"journals/{job} is left")
        found += [f"orphan {one.path}" for one in orphans(store, 0)]
        return [*found, *(f"check: {one.path} {one.what}" for one in check(store))]


class Logs:
    """What is written to logs; each line is looked at once."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._read = lab, dict[Path, int]()

    def tracebacks(self) -> list[str]:
        """Return where a traceback was written since the last time, with its last line."""
        found = []
        folders = (self._lab.folder.glob("*.log"), (self._lab.root / "logs").glob("*.log"))
        for path in (each for folder in folders for each in folder):
            text = path.read_bytes()
            new, self._read[path] = text[self._read.get(path, 0) :].decode(errors="replace"), len(text)
            lines = new.splitlines()
            for place, line in enumerate(lines):
                if line.startswith("Traceback"):
                    last = next(
                        (each for each in lines[place + 1 :] if not each.startswith((" ", "Trace"))), ""
                    )
                    found.append(f"{path.name}: {last}")
        return found
