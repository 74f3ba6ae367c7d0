"""The kinds of jobs there are, and the words that progress is told in."""

from typing import NamedTuple

from data.rows import JobKind


class Kind(NamedTuple):
    """How a kind of job is told of.

    Attributes:
        doing: what it does to its study, for example "Training".
        unit: one unit of its work.
    """

    doing: str
    unit: str


KINDS: dict[JobKind, Kind] = {
    "train": Kind("Training", "step"),
    "fit": Kind("Fitting latent states of", "climb"),
    "explain": Kind("Explaining the data orders of", "checkpoint"),
    "what_if": Kind("Trying every order, beside", "order"),
    "connect": Kind("Connecting networks of", "part"),
    "import_logs": Kind("Importing logs into", "file"),
    "log": Kind("Logging", "step"),
}
"""By the name of the file of ``engine.jobs`` that runs them."""
