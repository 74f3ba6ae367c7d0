"""A process that forks writers to be killed: everything is imported once, each writer starts in milliseconds.

Reads lines `JOB FLUSHES PAUSE DIE_AT KILL_AFTER` (seconds; 0: never) from its input and answers with the exit
status of the writer. A writer notes the rows that were acknowledged in the file `<store>.acknowledged`.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from data import journal, recovery, sealing
from data.store import open_store
from data.traces import TraceWriter

ROWS = 64


def value(run: int, step: int) -> float:
    """What every row holds, so that a reader knows a wrong one."""
    return float(np.float32(run * 1000.5 + step))


def die_at(moment: int) -> None:
    """Kill this process before the `moment`-th call that changes a file or lets one count."""
    left = [moment]

    def counted(function):  # type: ignore[no-untyped-def]
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    def torn(handle: int, content: memoryview) -> int:
        left[0] -= 1
        if left[0] == 0:
            write(handle, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(handle, content)

    write = os.write
    journal.os.write = torn
    sealing.put_in_place = counted(sealing.put_in_place)
    sealing._require_sorted = counted(sealing._require_sorted)
    Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
    from data.catalog import Catalog

    Catalog.replace_segments = counted(Catalog.replace_segments)  # type: ignore[method-assign]
    recovery.sync_folder = counted(recovery.sync_folder)


def write_until_killed(root: str, job: int, flushes: int, pause: float, moment: int) -> None:
    store = open_store(root)
    runs = np.array([run.id for run in store.catalog.runs(current=False) if run.job == job])
    note = os.open(f"{root}.acknowledged", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    if moment:
        die_at(moment)
    writer = TraceWriter(store, job, ["loss"], seal_bytes=10_000)
    start = writer.rows // len(runs)
    per_flush = ROWS // len(runs)
    for number in range(flushes):
        steps = np.repeat(np.arange(start, start + per_flush) + number * per_flush, len(runs))
        which = np.tile(runs, per_flush)
        loss = [value(run, step) for run, step in zip(which.tolist(), steps.tolist(), strict=True)]
        writer.write(which, steps, steps / 10, steps / 4, {"loss": loss})
        rows = writer.flush()
        os.pwrite(note, b"%20d" % rows, 0)
        time.sleep(pause)
    writer.close()


def main() -> None:
    root = sys.argv[1]
    for line in sys.stdin:
        job, flushes, pause, moment, patience = line.split()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                write_until_killed(root, int(job), int(flushes), float(pause), int(moment))
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        end = time.monotonic() + (float(patience) or 1e9)
        ended, status = os.waitpid(child, os.WNOHANG)
        while not ended:
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
                end = 1e18
            time.sleep(0.0005)
            ended, status = os.waitpid(child, os.WNOHANG)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
