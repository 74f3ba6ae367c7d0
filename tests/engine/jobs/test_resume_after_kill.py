"""A training that was killed ends as one that never was."""

import json
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from data.journal import read_journal
from data.recovery import job_journals
from data.store import Store, open_store
from tests.engine.forking import Forked
from tests.engine.jobs.resuming import finished

COMMON = (
    "--checkpoint-seconds",
    "0",
    "--arms",
    "SS,RR",
    "--seeds",
    "3",
    "--set",
    "epochs=3",
    "--set",
    "model.width=8",
)


CONFIGURATIONS = {
    "momentum": ("--set", "momentum=0.9"),
    "adam": ("--set", "optimizer=adam", "--set", "dtype=float64"),
}


def acknowledged(store: Store) -> int:
    """Return the rows of job 1 on the disk."""
    while True:
        sealed = sum(row.rows for row in store.catalog.segments([1]))
        parts = {row.part for row in store.catalog.segments([1])}
        try:
            live = [
                read_journal(path) for part, path in job_journals(store.journals / "1") if part not in parts
            ]
        except FileNotFoundError:
            continue
        return sealed + sum(table.num_rows for table in live)


def trained_and_killed(configuration: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train twice, once killed at three random steps, and return what the two leave."""
    settings = (*COMMON, "--set", "evaluate_every=8", *CONFIGURATIONS[configuration])
    words = ("train", "digits-shuffling", *settings)

    def begin(root: Path, *words: str) -> Forked:
        return Forked(["--store", root, "--json", *words], {})

    root, total, chance = folder / "killed", 6 * 97, random.Random(configuration)
    store = open_store(root, create=True)
    killed, rows = 0, 0
    while True:
        # So that two fifths at least are left for the last attempt.
        target = rows + 1 + chance.randrange((total - rows) // (5 - killed)) if killed < 3 else total + 1
        process = begin(root, *(("resume", "1") if store.catalog.jobs() else words))
        while process.poll() is None and acknowledged(store) < target:
            time.sleep(0.03)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=300)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err
        killed += 1
        rows, before = acknowledged(store), rows
        assert rows >= before
        newest = store.catalog.checkpoints(1, "state")[-1:]
        if killed % 2 and newest:  # so that the one before must do, and more is retraced
            (store.root / newest[0].path).write_bytes(b"damaged")
    assert killed == 3
    assert store.catalog.job(1).spec["resumed"] >= 2  # all but perhaps the first began to train
    told, _ = begin(folder / "whole", *words).communicate(timeout=300)
    assert json.loads(out) | {"seconds": 0} == json.loads(told) | {"seconds": 0}
    whole = open_store(folder / "whole")
    both = finished(store), finished(whole)
    assert len(both[0]["keys"]) == total
    store.close()
    whole.close()
    return both


@pytest.mark.slow
def test_killed_at_six_random_steps_it_ends_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        folders = [tmp_path / name for name in CONFIGURATIONS]
        for killed, whole in pool.map(trained_and_killed, CONFIGURATIONS, folders):
            assert killed == whole
            assert {status for _, _, status, *_ in killed["runs"]} == {"done"}
            assert [step for step, *_ in killed["weights"]] == [0, 64, 96]
