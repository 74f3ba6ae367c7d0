"""How many bytes a lab has, by kind, study, job and person: one look at the catalogue, one at each folder."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import func, select

from data import tables
from data.store import FOLDERS, Store

Kind = Literal["traces", "checkpoints", "analyses", "networks", "uploads", "logs", "journals", "catalogue"]


class Usage(NamedTuple):
    """Bytes of one kind that belong to one study, job and person; "" or None: to none that is known."""

    kind: Kind
    study: str
    job: int | None
    person: str
    bytes: int


def usage(store: Store) -> list[Usage]:
    """Return the sizes of all files of a store; their sum is that of the folder's files.

    Of a file that several checkpoints share, the first one's job is the owner. Journals, logs and sealed rows
    belong to their job and its study; uploaded networks, uploads on their way and the catalogue to nobody.
    """
    owners, studies, people = _owners(store)
    sizes: dict[tuple[Kind, str, int | None], int] = defaultdict(int)
    for kind, path, size in _files(store.root):
        study, job = owners.get(path, ("", None))
        if kind in ("logs", "journals"):
            number = path.split("/")[1].partition(".")[0]
            job = int(number) if number.isdecimal() and int(number) in studies else None
            study = "" if job is None else studies[job]
        sizes[kind, study, job] += size
    return [
        Usage(kind, study, job, people.get(job, "") if job is not None else "", size)
        for (kind, study, job), size in sizes.items()
    ]


def total(used: Iterable[Usage]) -> int:
    """Return the bytes in all."""
    return sum(one.bytes for one in used)


def by(used: Iterable[Usage], of: Callable[[Usage], str]) -> dict[str, int]:
    """Return bytes by whatever `of` says of a usage, such as its study, kind or person; the most first."""
    sizes: dict[str, int] = defaultdict(int)
    for one in used:
        sizes[of(one)] += one.bytes
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def _owners(store: Store) -> tuple[dict[str, tuple[str, int | None]], dict[int, str], dict[int, str]]:
    """Return study and job of each named file, the study of each job, and its person."""
    jobs, runs = tables.jobs, tables.runs
    # A job may be queued under a study and run a variant of it: its rows are the variant's.
    ran = select(runs.c.job, func.min(runs.c.study).label("study")).group_by(runs.c.job).subquery()
    of_job = select(jobs.c.id, func.coalesce(ran.c.study, jobs.c.study), jobs.c.person)
    owners: dict[str, tuple[str, int | None]] = {}
    with store.catalog.reading() as connection:
        rows = connection.execute(of_job.outerjoin_from(jobs, ran, ran.c.job == jobs.c.id)).all()
        studies = {id: study for id, study, _ in rows}
        people = {id: person for id, _, person in rows}
        for table in (tables.segments, tables.checkpoints):
            for path, job in connection.execute(select(table.c.path, table.c.job).order_by(table.c.id)):
                owners.setdefault(path, (studies[job], job))
        table = tables.analyses
        for path, study, job in connection.execute(select(table.c.path, table.c.study, table.c.job)):
            owners[path] = study, job
    return owners, studies, people


def _files(root: Path) -> Iterable[tuple[Kind, str, int]]:
    """Give kind, path relative to the store and size of every file; one that vanishes meanwhile has none."""
    kinds: dict[str, Kind] = {name: name for name in FOLDERS}  # type: ignore[misc]
    waiting = [("", root)]
    while waiting:
        above, folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            continue
        for entry in entries:
            path = f"{above}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append((f"{path}/", Path(entry.path)))
                continue
            try:
                size = entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
            yield kinds.get(path.split("/")[0], "catalogue"), path, size
