"""Checkpoints in the catalogue: a file counts from the moment its row is here."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select

from data import tables
from data.database import Database
from data.rows import CheckpointKind, CheckpointRow


class CheckpointCatalog(Database):
    """Which tensors are kept.

    Rows may share a file. So files get their names and lose them while the write lock is held: no process
    removes one that another is about to refer to.
    """

    def add_checkpoint(
        self,
        job: int,
        kind: CheckpointKind,
        stack: int | None,
        step: int,
        runs: Sequence[int],
        path: str,
        sha256: str,
        bytes: int,
        place: Callable[[], None],
    ) -> CheckpointRow:
        """Let a file count; one that was saved before takes the place of its former row.

        Args:
            job: whose it is.
            kind: a stack's "state" or the "weights" of runs.
            stack: which stack of the job; None for weights.
            step: steps taken.
            runs: ids, in the order of the tensors' first axis.
            path: relative to the store.
            sha256: hash of the file.
            bytes: size of the file.
            place: gives the file its name.
        """
        table = tables.checkpoints
        same = (table.c.job == job) & (table.c.kind == kind) & (table.c.step == step)
        same &= (table.c.stack.is_not_distinct_from(stack)) & (table.c.sha256 == sha256)
        values = {
            "job": job,
            "kind": kind,
            "stack": stack,
            "step": step,
            "runs": list(runs),
            "path": path,
            "sha256": sha256,
            "bytes": bytes,
            "created_at": datetime.now(UTC),
        }
        with self.writing("machine") as connection:
            place()
            query = select(table.c.id, table.c.runs).where(same)
            former = [row.id for row in connection.execute(query) if row.runs == values["runs"]]
            connection.execute(delete(table).where(table.c.id.in_(former)))
            statement = insert(table).values(values).returning(table)
            return CheckpointRow(**connection.execute(statement).mappings().one())

    def checkpoints(self, job: int, kind: CheckpointKind | None = None) -> list[CheckpointRow]:
        """Return a job's checkpoints, in the order in which they were saved."""
        query = select(tables.checkpoints).where(tables.checkpoints.c.job == job)
        if kind is not None:
            query = query.where(tables.checkpoints.c.kind == kind)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(tables.checkpoints.c.id)).mappings()
            return [CheckpointRow(**row) for row in rows]

    def run_weights(self, run: int) -> list[CheckpointRow]:
        """Return the checkpoints that hold weights of a run, in the order of their steps."""
        table = tables.checkpoints
        job = select(tables.runs.c.job).where(tables.runs.c.id == run).scalar_subquery()
        query = select(table).where(table.c.job == job, table.c.kind == "weights")
        with self.reading() as connection:
            rows = connection.execute(query.order_by(table.c.step, table.c.id)).mappings()
            return [CheckpointRow(**row) for row in rows if run in row["runs"]]

    def drop_checkpoints(self, ids: Collection[int], discard: Callable[[str], None]) -> None:
        """Forget checkpoints; `discard` is called with each path to which no row refers any more."""
        table = tables.checkpoints
        with self.writing("machine") as connection:
            dropped = delete(table).where(table.c.id.in_(ids)).returning(table.c.path)
            paths = set(connection.execute(dropped).scalars())
            still = select(table.c.path).where(table.c.path.in_(paths))
            for path in paths - set(connection.execute(still).scalars()):
                discard(path)

    def sweep_checkpoints(self, there: Callable[[], Collection[str]], discard: Callable[[str], None]) -> None:
        """Call `discard` with each of the paths `there` to which no row refers."""
        with self.writing("machine") as connection:
            counted = set(connection.execute(select(tables.checkpoints.c.path)).scalars())
            for path in set(there()) - counted:
                discard(path)
