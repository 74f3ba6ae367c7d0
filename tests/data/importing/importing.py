"""What the tests of importing share: files in, plan and rows out."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from data.importing.filling import ROWS, metric_columns
from data.importing.gathering import Given
from data.importing.intake import Intake
from data.importing.limits import LIMITS, Limits
from data.importing.planning import Plan
from data.importing.roles import Corrections
from data.importing.staged import Staged
from data.importing.staging import database


class Imported(NamedTuple):
    """What was found, what it would become, and its rows by run name with the metrics' own names."""

    staged: Staged
    plan: Plan
    rows: dict[str, pd.DataFrame]


def planned(
    folder: Path, files: Mapping[str, str | bytes], said: Corrections | None = None, limits: Limits = LIMITS
) -> Imported:
    """Write files, read them, and plan their import."""
    for name, content in files.items():
        path = folder / "given" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    given = [Given(path.name, path) for path in sorted((folder / "given").iterdir())]
    intake = Intake.begin(folder / "intake", given, limits)
    plan = intake.plan(said)
    with database(intake.folder, limits) as connection:
        frame = connection.sql(f"SELECT * FROM {ROWS} ORDER BY run, step").df()
    frame = frame.rename(columns={column: name for name, column in metric_columns(plan.metrics).items()})
    rows = {
        run.name: frame[frame["run"] == index].drop(columns="run").reset_index(drop=True)
        for index, run in enumerate(plan.runs)
    }
    staged = intake.staged
    assert staged is not None
    return Imported(staged, plan, rows)
