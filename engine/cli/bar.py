"""The progress bar of a job in the foreground."""

from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from engine.jobs.worker import Show


@contextmanager
def bar() -> Iterator[Show]:
    """Show a job's steps on stderr; its own text has the throughput and the time left."""
    with tqdm(total=None, dynamic_ncols=True, bar_format="{percentage:3.0f}% |{bar:20}| {desc}") as shown:

        def show(step: int, steps: int, text: str) -> None:
            shown.total = steps
            shown.n = step
            shown.set_description_str(text)

        yield show
