"""Which runs there are in staged rows: each with a name, an arm and a seed of its own."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb

from data.errors import LabError
from data.importers import Role
from data.importing.cells import joined_text, moment_of, place_of, seed_of
from data.importing.naming import Guess, guess, run_name
from data.importing.roles import PARAMETERS, SEED_DIGITS, Choice, Corrections
from data.importing.staged import Shape, Staged


@dataclass
class PlannedRun:
    """A run to be: its name in the files, arm and seed, and what its rows hold.

    Attributes:
        name: what it is called in the files, the only one of that name.
        arm: whose it is.
        seed: which of the arm's runs it is.
        rows: steps at which anything was measured.
        steps: first and last step; None without a row.
        metrics: measured in it.
        finals: last value of each metric measured in it.
        diverged_at: first step from which a loss is never finite again; None where every loss ends finite.
        diverged_what: that loss and its last value.
        started: when its first row was measured; None where nothing tells.
        seconds: elapsed at its last row; None where nothing tells.
        config: what the files say that it was run with.
        files: that its rows are from.
    """

    name: str
    arm: str
    seed: int
    rows: int = 0
    steps: tuple[int, int] | None = None
    metrics: list[str] = field(default_factory=list)
    finals: dict[str, float] = field(default_factory=dict)
    diverged_at: int | None = None
    diverged_what: str | None = None
    started: datetime | None = None
    seconds: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


@dataclass
class Key:
    """A run's part of a table: the table's number and the values of its columns of role run, arm and seed."""

    shape: Shape
    table: int
    run: str | None
    arm: str | None
    seed: int | None
    started: float | None
    name: str = ""
    index: int = -1


def keys_of(connection: duckdb.DuckDBPyConnection, shape: Shape, chosen: Sequence[Choice]) -> list[Key]:
    """Return the parts of runs in a shape, in the order in which they begin."""
    found = connection.execute(
        f"SELECT t, {joined_text(chosen, 'run')} AS run, {joined_text(chosen, 'arm')} AS arm, "
        f"{seed_of(place_of(chosen, 'seed'))} AS seed, "
        f"min({moment_of(place_of(chosen, 'time'))}), min(n) "
        f"FROM shape{shape.number} GROUP BY ALL ORDER BY t, min(n)"
    ).fetchall()
    return [Key(shape, *row[:5]) for row in found]


def name_runs(
    staged: Staged,
    keys: list[Key],
    choices: Sequence[Sequence[Choice]],
    said: Corrections,
    warnings: list[str],
) -> list[PlannedRun]:
    """Name the runs, give each an arm and a seed of its own, and tell every key which run it is of."""
    tables = {table.number: table for shape in staged.shapes for table in shape.tables}
    per_table = Counter(key.table for key in keys)
    measured = {
        shape.number: frozenset(one.name for one, choice in zip(shape.columns, chosen, strict=True)
                                if choice.role in (None, "metric"))
        for shape, chosen in zip(staged.shapes, choices, strict=True)
    }  # fmt: skip
    several = len({tables[key.table].file for key in keys}) > 1
    for key in keys:
        table = tables[key.table]
        around = run_name(table.file, table.name)
        told = key.run or (table.facts.get("name") if per_table[key.table] == 1 else None)
        parts = [
            around if several or not told else "",
            told,
            key.arm,
            None if key.seed is None else f"seed {key.seed}",
        ]
        # The name that a tracker gives says more than the folder that it made up.
        if told and not key.run:
            parts[0] = ""
        key.name = "/".join(dict.fromkeys(part for part in parts if part)) or table.file.rpartition("/")[2]
    runs: list[PlannedRun] = []
    holds: dict[str, list[tuple[int, set[str]]]] = {}
    for key in keys:
        # Two files of one name and with other metrics are parts of one run; with the same, they are two runs.
        for index, names in holds.get(key.name, []):
            if not names & measured[key.shape.number]:
                key.index = index
                names |= measured[key.shape.number]
                break
        else:
            key.index = len(runs)
            holds.setdefault(key.name, []).append((key.index, set(measured[key.shape.number])))
            runs.append(PlannedRun(key.name, "", -1))
        run, table = runs[key.index], tables[key.table]
        run.files = list(dict.fromkeys([*run.files, table.file]))
        run.config |= table.facts.get("config", {})
        moments = [key.started, _seconds(table.facts.get("started"))]
        begun = min((one for one in moments if one is not None), default=None)
        if (
            begun is not None and 0 <= begun < 32503680000
        ):  # up to the year 3000: beyond, it is no such moment
            moment = datetime.fromtimestamp(begun, UTC)
            run.started = moment if run.started is None else min(run.started, moment)
    guesses = guess([run.name for run in runs])
    seen: Counter[str] = Counter()
    for run in runs:
        seen[run.name] += 1
        if seen[run.name] > 1:
            run.name = f"{run.name} ({seen[run.name]})"
    _number(runs, keys, guesses, said, warnings)
    return runs


def _seconds(moment: object) -> float | None:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.timestamp() if isinstance(moment, datetime) else None


def _number(
    runs: list[PlannedRun],
    keys: Sequence[Key],
    guesses: Sequence[Guess],
    said: Corrections,
    warnings: list[str],
) -> None:
    """Give every run an arm and a seed: said, of a column, guessed from its name, or the arm's next free."""
    unknown = sorted(set(said.runs) - {run.name for run in runs})
    if unknown:
        raise LabError(
            "Unknown run",
            f"No run is called `{unknown[0]}`; there are {listed(run.name for run in runs)}.",
            "Name a run that is there.",
        )
    first = {key.index: key for key in reversed(keys)}
    seeds: list[int | None] = []
    for index, run in enumerate(runs):
        key, guessed = first[index], guesses[index]
        arm, seed = key.arm or _parameter(run, "arm"), key.seed
        told = re.sub(r"\.0+$", "", _parameter(run, "seed") or "")  # a parameter may have been a float
        if seed is None and told.isdecimal() and len(told) <= SEED_DIGITS:
            seed = int(told)
        run.arm, seed = said.runs.get(run.name, (arm or guessed.arm, guessed.seed if seed is None else seed))
        seeds.append(seed)
    used: dict[str, set[int]] = {}
    doubles: list[str] = []
    waiting: list[int] = []
    for index, (run, seed) in enumerate(zip(runs, seeds, strict=True)):
        if seed is None or seed in used.setdefault(run.arm, set()):
            if seed is not None:
                doubles.append(run.name)
                if run.name in said.runs:
                    raise LabError(
                        "Two runs of one seed",
                        f"`{run.name}` is not the only run of arm `{run.arm}` with seed {seed}.",
                        "Give it another seed.",
                    )
            waiting.append(index)
        else:
            run.seed = seed
            used[run.arm].add(seed)
    free = dict.fromkeys(used, 0)
    for index in waiting:
        run = runs[index]
        taken, at = used.setdefault(run.arm, set()), free.get(run.arm, 0)
        while at in taken:
            at += 1
        run.seed, free[run.arm] = at, at + 1
        taken.add(at)
    if doubles:
        warnings.append(
            f"{len(doubles)} runs have the arm and seed of another and were given the arm's next free seed: "
            f"{listed(doubles)}."
        )
    guessed_seeds = [runs[index].name for index in waiting if runs[index].name not in doubles]
    if len(guessed_seeds) > 1:
        warnings.append(
            f"{len(guessed_seeds)} runs tell no seed and are numbered in order: {listed(guessed_seeds)}."
        )


def _parameter(run: PlannedRun, role: Role) -> str | None:
    """Return what a run's parameters say of its arm or seed; None where they say nothing."""
    plain = {name.lower(): value for name, value in run.config.items()}
    found = next((plain[name] for name in PARAMETERS[role] if name in plain), None)
    return None if found is None else str(found).strip()


def listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    told = [f"`{name}`" for name in names]
    return ", ".join(told[:5]) + (f" and {len(told) - 5:,} more" if len(told) > 5 else "")
