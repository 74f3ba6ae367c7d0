"""Which of the jobs that wait goes next: fair between people, within what a machine and a person may have."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from data.rows import JobRow


class Capacity(NamedTuple):
    """What jobs may have of one machine.

    Attributes:
        jobs: how many may run at once; 0 for any number.
        gpus: numbers of its GPUs, each for one job alone.
    """

    jobs: int
    gpus: tuple[int, ...] = ()


class Waiting(NamedTuple):
    """A job in the queue; `why` says what it waits for, "" where it may begin."""

    job: JobRow
    why: str


def wants_gpu(spec: Mapping[str, Any], begun_on: str | None, gpus: Sequence[int]) -> bool:
    """Whether a job is to have a GPU for itself, where a machine has some.

    Args:
        spec: what it is to do.
        begun_on: the device on which it ran before it was interrupted; it goes on on the same kind.
        gpus: numbers of those of the machine.
    """
    if begun_on is not None:
        return bool(gpus) and begun_on.startswith("cuda")
    return bool(gpus) and spec.get("device") in ("auto", "cuda")


@dataclass(frozen=True)
class Line:
    """The queue at one moment, as one machine sees it.

    Attributes:
        waiting: jobs that nobody has taken.
        at_work: jobs that run or are being started, on any machine.
        served: when a job of each person began last.
        running: how many jobs of each person may run at once, 0 for any number.
        begun_on: the device of jobs that have run before.
        host: the machine.
        capacity: what jobs may have of it.
    """

    waiting: Sequence[JobRow]
    at_work: Sequence[JobRow]
    served: Mapping[str, datetime]
    running: Mapping[str, int]
    begun_on: Mapping[int, str]
    host: str
    capacity: Capacity

    def in_order(self, jobs: Sequence[JobRow]) -> Iterator[JobRow]:
        """Give jobs in the order in which they go, each counted as at work once it went.

        Who has the fewest jobs at work goes first, then who was served longest ago, then the oldest job.
        """
        left = list(jobs)
        busy = Counter(job.person for job in self.at_work)
        latest: dict[str, tuple[int, float]] = {
            person: (0, moment.timestamp()) for person, moment in self.served.items()
        }
        while left:
            first = min(left, key=lambda job: (busy[job.person], latest.get(job.person, (0, 0.0)), job.id))
            left.remove(first)
            busy[first.person] += 1
            latest[first.person] = (1, -len(left))
            yield first

    def next(self) -> tuple[JobRow, int | None] | None:
        """Return the job that goes now with the GPU that it gets, if any may."""
        first = next(self.in_order([job for job in self.waiting if not self.why(job)]), None)
        if first is None:
            return None
        return first, self.free_gpus()[0] if self._wants_gpu(first) else None

    def told(self) -> list[Waiting]:
        """Return who waits, in the order in which they go, and what for."""
        return [Waiting(job, self.why(job)) for job in self.in_order(self.waiting)]

    def why(self, job: JobRow) -> str:
        """Return why a job cannot begin now, "" where it can."""
        beside = [other for other in self.at_work if _lane(other) == _lane(job)]
        here = [other for other in beside if other.host == self.host]
        if 0 < self.capacity.jobs <= len(here):
            return f"this machine has as many jobs at work as it may, {self.capacity.jobs}"
        most = self.running.get(job.person, 0)
        if 0 < most <= sum(other.person == job.person for other in beside):
            return f"{job.person} has as many jobs at work as one person may, {most}"
        if self._wants_gpu(job) and not self.free_gpus():
            return f"every GPU of this machine is taken, {len(self.capacity.gpus)} in all"
        return ""

    def free_gpus(self) -> list[int]:
        """Return the numbers of the machine's GPUs that no job has."""
        taken = {job.gpu for job in self.at_work if job.host == self.host}
        return [number for number in self.capacity.gpus if number not in taken]

    def _wants_gpu(self, job: JobRow) -> bool:
        return wants_gpu(job.spec, self.begun_on.get(job.id), self.capacity.gpus)


def _lane(job: JobRow) -> bool:
    # A person sits before an import and waits, so that imports do not queue behind trainings of hours.
    return job.kind == "import_logs"
