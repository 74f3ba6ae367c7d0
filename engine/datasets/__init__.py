"""The data sets that install without a download, as NumPy arrays with examples in rows."""

from functools import cache

from data.errors import LabError
from data.plugins import discover
from engine.datasets._dataset import Dataset, Shape, Split

__all__ = ["Dataset", "Shape", "Split", "dataset", "datasets"]


@cache
def datasets() -> dict[str, Dataset]:
    """Return every data set by name; a data set is one file of this package that defines ``DATASET``."""
    return discover("engine.datasets", "DATASET", Dataset)


def dataset(name: str) -> Dataset:
    """Return the data set of that name.

    Raises:
        LabError: there is no such data set; the message names those there are.
    """
    known = datasets()
    if name not in known:
        raise LabError(
            "Unknown data set", f"There is no data set `{name}`.", f"Choose one of: {', '.join(known)}."
        )
    return known[name]
