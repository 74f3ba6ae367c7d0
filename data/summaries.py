"""Sums rows up in blocks of steps, once for all, so that a long trace is drawn without reading its rows.

A block holds the rows of one run whose step, divided by the size of blocks and rounded down, is the same. A
sealed file keeps, beside its rows, a table of its blocks of each size: for each metric the least, the
greatest, the first and the last finite value, the last measured value, and in which rows these and the first
value of each kind stand.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

BLOCK, WIDE = SIZES = (128, 512)
"""Steps in a block; each size divides the next, and places within a block are kept in two bytes."""
BLOCKS = "blocks"
"""Name of the table of blocks in a sealed file, before their size."""
_BATCH = 1 << 18
"""Rows that are summed up at a time."""

_Places = npt.NDArray[np.intp]
_Mask = npt.NDArray[np.bool_]


class Groups(NamedTuple):
    """Consecutive rows that belong together: where each group starts, its size, and the group of each row."""

    starts: _Places
    sizes: _Places
    of: _Places

    @classmethod
    def by(cls, *keys: npt.NDArray[Any]) -> "Groups":
        """Return groups of neighbours with the same keys."""
        new = np.zeros(len(keys[0]), dtype=bool)
        new[:1] = True
        for key in keys:
            new[1:] |= key[1:] != key[:-1]
        starts = np.flatnonzero(new)
        sizes = np.diff(starts, append=len(new))
        return cls(starts, sizes, np.repeat(np.arange(len(starts)), sizes))

    def first(self, where: _Mask) -> _Places:
        """Return the first row of each group at which `where` is true, -1 in a group without."""
        if where.all():
            return self.starts
        rows = np.flatnonzero(where)
        found = np.full(len(self.starts), -1)
        found[self.of[rows[::-1]]] = rows[::-1]  # of several assignments the last stays
        return found

    def last(self, where: _Mask) -> _Places:
        """Return the last row of each group at which `where` is true, -1 in a group without."""
        if where.all():
            return self.starts + self.sizes - 1
        rows = np.flatnonzero(where)
        found = np.full(len(self.starts), -1)
        found[self.of[rows]] = rows  # of several assignments the last stays
        return found

    def least(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the least number of each group; NaN counts only where a group has nothing else."""
        return np.fmin.reduceat(values, self.starts)

    def greatest(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the greatest number of each group; NaN counts only where a group has nothing else."""
        return np.fmax.reduceat(values, self.starts)


def batches(relation: duckdb.DuckDBPyRelation) -> Iterator[pa.Table]:
    """Give the rows of a relation that is ordered by run and step in parts that cut no block in two."""
    rest: pa.Table | None = None
    for batch in relation.to_arrow_reader(_BATCH):
        rows = pa.Table.from_batches([batch])
        rows = (rows if rest is None else pa.concat_tables([rest, rows])).combine_chunks()
        run, block = rows["run"].to_numpy(), rows["step"].to_numpy() // WIDE
        whole = np.flatnonzero((run != run[-1]) | (block != block[-1]))
        cut = int(whole[-1]) + 1 if len(whole) else 0
        if cut:
            yield rows[:cut]
        rest = rows[cut:]
    if rest is not None and rest.num_rows:
        yield rest


def summarize(rows: pa.Table, size: int, place: int = 0) -> pa.Table:
    """Return the blocks of rows.

    Args:
        rows: run, step, epoch, seconds and metrics, ordered by run and step.
        size: steps in a block.
        place: the number of the first row in its file.

    Returns:
        One row a block, in the order of the rows, with the columns of `rows`; each but `run` is a struct:
        `step` of block, first, last (steps), place (of its first row) and rows (how many); `epoch` and
        `seconds` of n (finite ones), low and high; each metric of n (measured points), low, high (finite
        extremes), opening, closing (first and last finite value), final (last measured value), and the
        places within the block of the first low (lowest) and high (highest), of opening (early) and
        closing (late), and of the first NaN (lost), infinity (up) and negative infinity (down). What is not
        there is NULL.
    """
    run, step = rows["run"].to_numpy(), rows["step"].to_numpy()
    block = step // size
    groups = Groups.by(run, block)
    ends = groups.starts + groups.sizes - 1
    steps = {
        "block": block[groups.starts], "first": step[groups.starts], "last": step[ends],
        "place": groups.starts + place, "rows": groups.sizes.astype(np.uint16),
    }  # fmt: skip
    columns = {"run": pa.array(run[groups.starts]), "step": _struct(steps)}
    for name in rows.schema.names[2:]:
        of = _axis if name in ("epoch", "seconds") else _metric
        columns[name] = of(rows[name], groups)
    return pa.table(columns)


def _axis(column: pa.ChunkedArray, groups: Groups) -> pa.StructArray:
    values = column.to_numpy()
    finite = np.isfinite(values)
    inside = values if finite.all() else np.where(finite, values, np.nan)
    n = np.add.reduceat(finite, groups.starts, dtype=np.uint16)
    return _struct({"n": n, "low": _known(groups.least(inside)), "high": _known(groups.greatest(inside))})


def _metric(column: pa.ChunkedArray, groups: Groups) -> pa.StructArray:
    values = column.to_numpy()
    measured = np.ones(len(values), dtype=bool) if not column.null_count else ~column.is_null().to_numpy()
    rows = marks(groups, values, measured)
    ends = {"low": rows["lowest"], "high": rows["highest"], "opening": rows["early"]}
    ends |= {"closing": rows["late"], "final": groups.last(measured)}
    parts = {"n": np.add.reduceat(measured, groups.starts, dtype=np.uint16)}
    parts |= {name: np.ma.array(values[at], mask=at < 0) for name, at in ends.items()}
    within = {name: np.ma.array(at - groups.starts, mask=at < 0) for name, at in rows.items()}
    return _struct(parts | {name: at.astype(np.uint16) for name, at in within.items()})


def marks(groups: Groups, values: npt.NDArray[np.floating], measured: _Mask) -> dict[str, _Places]:
    """Return the rows of each group that its picture may not miss, by name, -1 for none.

    These are the first least (lowest) and greatest (highest) finite value, the first (early) and last (late)
    finite value, and the first NaN (lost), infinity (up) and negative infinity (down). Rows that are not
    `measured` hold NaN.
    """
    finite = np.isfinite(values)
    none = np.full(len(groups.starts), -1)
    whole = bool(finite.all())
    inside = values if whole else np.where(finite, values, np.nan)
    return {
        "lowest": groups.first(inside == np.repeat(groups.least(inside), groups.sizes)),
        "highest": groups.first(inside == np.repeat(groups.greatest(inside), groups.sizes)),
        "early": groups.first(finite),
        "late": groups.last(finite),
        "lost": none if whole else groups.first(np.isnan(values) & measured),
        "up": none if whole else groups.first(values == np.inf),
        "down": none if whole else groups.first(values == -np.inf),
    }


def _known(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return np.ma.array(values, mask=np.isnan(values))


def _struct(parts: dict[str, npt.NDArray[np.generic]]) -> pa.StructArray:
    arrays = [
        pa.array(np.ma.getdata(part), mask=np.ma.getmaskarray(part) if np.ma.isMA(part) else None)
        for part in parts.values()
    ]
    return pa.StructArray.from_arrays(arrays, list(parts))
