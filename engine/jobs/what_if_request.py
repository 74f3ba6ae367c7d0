"""Which orders of which data a person asks about: read and checked before any of them is tried."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import numpy as np

from data.analyses import key_of
from data.errors import LabError
from data.rows import AnalysisRow
from data.store import Store
from engine.analysis.shuffling.batchings import count
from engine.analysis.shuffling.what_if import ALL_UP_TO, DRAWS, MOST_ROWS, ROWS, Selection
from engine.datasets import dataset, datasets
from engine.labelled_table import MOST_FEATURES, MOST_NUMBERS, LabelledTable, read_table
from engine.version import code_version

KIND: Final = "what_if"
"""What such a result is called among the analyses of a store."""
PASTED = "pasted data"
MOST_DRAWS = 5_000
MOST_INDICES = 100_000
"""Indices in all orders that are given."""
MOST_EPS = 1e100
MOST_NAMES = 6
"""Classes of the rest that are kept by name, where one stands against them."""
START_SECONDS, PROGRAM_SECONDS, NUMBER_SECONDS = 2.5, 6e-4, 2.5e-6
"""Measured on one core: a process begins; an order of n examples of d features takes 0.6 ms and 2.5 us n d,
1.1 ms for 16 x 4, 5 ms for 128 x 16, 25 ms for 128 x 64."""


@dataclass(frozen=True)
class WhatIfRequest:
    """Orders of a small data set that can be tried.

    Attributes:
        study: under which study the result is kept; empty where it is not.
        text: the data, as ``engine.labelled_table`` reads them; empty where `dataset` names them.
        dataset: one of ``small_datasets()``; empty where `text` holds the data.
        name: what the data are called.
        label: which column of the text is the class; the last one when None.
        positive: the class against the rest; when None there are two.
        batch_size: examples a batch.
        eps: added to the variance, in squared units of the features.
        intercept: whether the read-out has a bias, or the normalization a shift.
        scale_trained: whether the normalization trains its scale.
        all_up_to: different batchings up to which all orders are looked at.
        draws: random orders where there are more.
        orders: permutations that alone are looked at; none for the rule above.
        seed: of the random orders, and of the subsets that stand for Random Reshuffle.
        table: the data, read.
    """

    study: str
    text: str
    dataset: str
    name: str
    label: str | None
    positive: str | None
    batch_size: int
    eps: float
    intercept: bool
    scale_trained: bool
    all_up_to: int
    draws: int
    orders: tuple[tuple[int, ...], ...]
    seed: int
    table: LabelledTable

    @property
    def spec(self) -> dict[str, Any]:
        """The job's specification, as ``engine.jobs.what_if`` reads it."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "table"}

    @property
    def inputs(self) -> dict[str, Any]:
        """What the result depends on: the data by their checksum, however they were written or called."""
        left_out = ("study", "text", "dataset", "name", "label", "positive")
        told = {name: value for name, value in self.spec.items() if name not in left_out}
        sides = {
            "negative": list(self.table.negative[:MOST_NAMES]),
            "positive": list(self.table.positive[:MOST_NAMES]),
        }
        return told | {"data": {"sha256": self.table.sha256, **sides}}

    @property
    def data_version(self) -> str:
        """The version of the data, which are no traces of the study."""
        return f"sha256:{self.table.sha256}"

    @property
    def batchings(self) -> int:
        """How many different ways of cutting the data into batches there are."""
        return count(len(self.table.X), self.batch_size)

    @property
    def selection(self) -> Selection:
        """Which orders are looked at."""
        if self.orders:
            return "given"
        return "all" if self.batchings <= self.all_up_to else "random"

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        n, d = self.table.X.shape
        programs = {"given": len(self.orders), "all": self.batchings, "random": self.draws}[self.selection]
        subsets = min(math.comb(n, self.batch_size), max(ROWS // self.batch_size, 200))
        rows = programs * n + min(subsets * self.batch_size, MOST_ROWS)
        return float(START_SECONDS + programs * PROGRAM_SECONDS + rows * d * NUMBER_SECONDS)


def what_if_request(
    study: str = "",
    text: str = "",
    dataset: str = "",
    name: str = "",
    label: str | None = None,
    positive: str | None = None,
    batch_size: int = 2,
    eps: float = 0.0,
    intercept: bool = False,
    scale_trained: bool = False,
    all_up_to: int = ALL_UP_TO,
    draws: int = DRAWS,
    orders: Sequence[Sequence[int]] = (),
    seed: int = 0,
) -> WhatIfRequest:
    """Return the question about a data set's orders, with every default filled in; see ``WhatIfRequest``.

    Raises:
        LabError: data that cannot be read, no such data set, or a number out of its range.
    """
    if dataset:
        if label or positive:
            raise LabError(
                "No column to choose",
                f"`{dataset}` has its own labels, +1 and -1.",
                "Leave out the label column and the positive class.",
            )
        table = dataset_table(dataset)
    else:
        table = read_table(text, label, positive)
    n = len(table.X)
    for what, value, least, most in (
        ("batch_size", batch_size, 1, n),
        ("all_up_to", all_up_to, 0, MOST_DRAWS),
        ("draws", draws, 1, MOST_DRAWS),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if not least <= value <= most:
            told = f", the number of examples, for these {n}" if what == "batch_size" else ""
            raise LabError(
                "Number out of range",
                f"`{what}` must be {least} to {most:,}{told}; got {value:,}.",
                "Choose another one.",
            )
    if not 0 <= eps <= MOST_EPS:
        raise LabError(
            "Number out of range",
            f"`eps` must be 0 to {MOST_EPS:g}; got {eps:g}.",
            "For example 0, or 1e-5 as in torch.",
        )
    for place, order in enumerate(orders, 1):
        _require_permutation(order, n, f"Order {place}")
    given = tuple(tuple(int(index) for index in order) for order in orders)
    return WhatIfRequest(
        study, "" if dataset else text, dataset, dataset or name or PASTED, label or None, positive or None,
        batch_size, float(eps), intercept, scale_trained, all_up_to, draws, given, seed, table,
    )  # fmt: skip


@cache
def small_datasets() -> tuple[str, ...]:
    """Return the engine's data sets of two classes and flat examples that are small enough."""
    found = []
    for name, one in datasets().items():
        try:
            shape = one.shape()
        except LabError:  # it reads a file that a user has to name
            continue
        numbers = shape.train_rows * math.prod(shape.inputs)
        flat = len(shape.inputs) == 1 and shape.inputs[0] <= MOST_FEATURES
        if shape.task == "signs" and flat and numbers <= MOST_NUMBERS:
            found.append(name)
    return tuple(found)


def dataset_table(name: str) -> LabelledTable:
    """Return the training rows of one of ``small_datasets()``.

    Raises:
        LabError: there is no such data set.
    """
    if name not in small_datasets():
        raise LabError(
            "Unknown data set",
            f"`{name}` is no small data set of two classes.",
            f"Choose one of: {', '.join(small_datasets())}; or give a file.",
        )
    inputs, targets, *_ = dataset(name).load()
    X, labels = inputs.astype(np.float64), targets.astype(np.float64)
    columns = tuple(f"column {place}" for place in range(1, X.shape[1] + 1))
    return LabelledTable(X, labels, ("-1",), ("1",), columns, "label", (dataset(name).title + ".",))


def read_orders(text: str, examples: int) -> tuple[tuple[int, ...], ...]:
    """Return the permutations that the lines of a text hold: indices from 0, between spaces or commas.

    Raises:
        LabError: no line, or one that does not hold each index once; the message names it.
    """
    found = list[tuple[int, ...]]()
    for place, line in enumerate(text.splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        if wrong := [word for word in words if not re.fullmatch("[0-9]{1,6}", word, re.ASCII)]:
            raise LabError(
                "An order cannot be read",
                f"Line {place} of the orders holds `{wrong[0][:40]}`.",
                "Write one order a line: the indices of the examples, counted from 0.",
            )
        order = tuple(map(int, words))
        _require_permutation(order, examples, f"Line {place} of the orders")
        found.append(order)
        if len(found) * examples > MOST_INDICES:
            raise LabError(
                "Too many orders",
                f"Orders of {examples:,} examples can be at most {MOST_INDICES // examples:,}.",
                "Give fewer, or have random ones drawn.",
            )
    if not found:
        raise LabError(
            "No order", "There is no line with an order.", "Write one order a line, for example `2 0 1`."
        )
    return tuple(found)


def stored(store: Store, wanted: WhatIfRequest) -> AnalysisRow | None:
    """Return the result of this very question where it is kept already."""
    key = key_of(wanted.study, KIND, wanted.inputs, code_version(), wanted.data_version, wanted.seed)
    return next((row for row in store.catalog.analyses(wanted.study, KIND) if row.key == key), None)


def _require_permutation(order: Sequence[int], examples: int, where: str) -> None:
    if sorted(order) == list(range(examples)):
        return
    remedy = f"Write each index from 0 to {examples - 1} once."
    if len(order) != examples:
        told = f"{where} has {len(order):,} indices for {examples:,} examples."
    elif sorted(order) == list(range(1, examples + 1)):
        told = f"{where} counts from 1."
    elif strange := [index for index in order if not 0 <= index < examples]:
        told = f"{where} holds {strange[0]}, and the last example is {examples - 1}."
    else:
        twice = next(index for index in order if list(order).count(index) > 1)
        told = f"{where} holds {twice} more than once."
    raise LabError("An order is no permutation", told, remedy)
