"""What the views cost on a large study: two arms, 300 seeds, 100,000 steps, 20 metrics, 600 million values.

The sealed files are made by the real sealing, one a job of 50 seeds; the journals before them and the merge
after, which would take minutes more, are left out. Every question is asked in a process of its own, so that
its first time is cold but for the disk's cache and its peak of memory is its own. A page is what Streamlit
runs for it, without a browser: the first time, then with a control changed.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from benchmarks._report import report
from data.columns import schema
from data.rows import MetricRow
from data.sealing import seal_table
from data.store import open_store
from data.traces import Traces

STUDY, METRIC = "large", "metric3"
SEEDS_PER_JOB = 50
REPEATS = 5


def make(folder: Path, seeds: int, steps: int, metrics: int) -> dict[str, float]:
    """Make the store, with noisy decaying metrics, a spike in each run and a run that becomes NaN."""
    store = open_store(folder, create=True)
    names = [f"metric{place}" for place in range(metrics)]
    store.catalog.save_study(STUDY, "Large", "A claim.", {"epochs": 100}, "client")
    store.catalog.save_metrics(STUDY, [MetricRow(STUDY, name, name, "", "", "", True) for name in names])
    columns = schema(names, "float32")
    at = np.arange(steps)
    sealing = size = 0.0
    for first in range(0, seeds, SEEDS_PER_JOB):
        wanted: list[tuple[str, int, dict[str, Any]]] = [
            ("SS" if seed < seeds // 2 else "RR", seed % (seeds // 2), {})
            for seed in range(first, min(first + SEEDS_PER_JOB, seeds))
        ]
        job = store.catalog.create_job("log", STUDY, {}).id
        store.catalog.claim_job(job, os.getpid(), 0.0, "here")
        runs = store.catalog.start_runs(job, STUDY, wanted, steps, "cpu")
        rng = np.random.default_rng(job)
        seconds = np.cumsum(rng.exponential(0.01, size=steps))
        keys = {
            "run": np.repeat(np.array(runs, dtype=np.int32), steps),
            "step": np.tile(at, len(runs)),
            "epoch": np.tile(at * 100 / steps, len(runs)),
            "seconds": np.tile(seconds, len(runs)),
        }
        arrays = [pa.array(keys[name]) for name in keys]
        for place in range(metrics):
            level = np.exp(-at / steps * (place + 1) / 4) + 0.01
            noise = rng.normal(1, 0.05, size=(len(runs), steps)).astype(np.float32)
            values = (level * noise).astype(np.float32)
            values[np.arange(len(runs)), rng.integers(steps, size=len(runs))] *= 100
            values[0, steps * 3 // 4 :] = np.nan
            arrays.append(pa.array(values.reshape(-1), from_pandas=False))
        table = pa.table(arrays, schema=columns)
        began = time.perf_counter()
        segment = seal_table(store.segments, job, 0, table)
        sealing += time.perf_counter() - began
        size += segment["bytes"]
        store.catalog.replace_segments(job, [], segment)
        store.catalog.update_runs([{"id": run, "status": "done", "step": steps - 1} for run in runs])
        store.catalog.finish_job(job, "done")
    store.close()
    return {"sealing": sealing, "bytes": size}


def questions(traces: Traces, steps: int) -> dict[str, Callable[[], object]]:
    """Return what is asked of the traces, by what the table calls it."""
    fifth, end = steps // 5, steps * 3 // 5
    return {
        "thin, all runs": lambda: traces.thin(STUDY, METRIC, points=23),
        "thin, over epochs": lambda: traces.thin(STUDY, METRIC, x="epoch", points=23),
        "thin, one arm": lambda: traces.thin(STUDY, METRIC, arms=["SS"], points=46),
        "thin, 40 % of the steps": lambda: traces.thin(STUDY, METRIC, first=fifth, last=end, points=23),
        "thin, 500 steps": lambda: traces.thin(STUDY, METRIC, first=fifth, last=fifth + 500, points=23),
        "thin, smoothed over 15 points": lambda: traces.thin(STUDY, METRIC, points=23, window=15),
        "bands": lambda: traces.bands(STUDY, METRIC, points=200),
        "bands, over seconds": lambda: traces.bands(STUDY, METRIC, x="seconds", points=200),
        "bands, 40 % of the steps": lambda: traces.bands(STUDY, METRIC, first=fifth, last=end, points=200),
        "last": lambda: traces.last(STUDY, [METRIC]),
        "matrices": lambda: traces.matrices(STUDY, [METRIC]),
        "crossings": lambda: traces.crossings(STUDY, METRIC, 0.5, "below"),
        "version": lambda: traces.version(STUDY),
    }


def pages() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the pages: view and the state that a changed control leaves."""
    return {
        "Studies": ("studies", {}),
        "Runs": ("runs", {"arms": ["SS"]}),
        "Traces, another metric": ("traces", {"metric": "metric5"}),
        "Traces, another band": ("traces", {"traces.band": "mean"}),
        "Traces, one arm": ("traces", {"arms": ["SS"]}),
        "Traces, a zoom": ("traces", {"traces.step.range": (20_000, 60_000)}),
        "Latent states": ("latent_states", {"arms": ["SS"]}),
    }


def ask(folder: Path, name: str, steps: int) -> list[tuple[float, float]]:
    """Return the seconds of a question, asked again and again in this process."""
    store = open_store(folder)
    question = questions(store.traces, steps)[name]
    return [_timed(question) for _ in range(1 + REPEATS)]


def open_page(folder: Path, name: str) -> list[tuple[float, float]]:
    """Return the seconds of a page that is opened, then run with a changed control, then run as it is."""
    from streamlit.testing.v1 import AppTest

    from dashboard.views import views

    os.environ["DETOUR_STORE"] = str(folder)
    view, changed = pages()[name]
    app = AppTest.from_file(str(Path(__file__).parents[1] / "dashboard" / "app.py"), default_timeout=300)
    views()
    if view != "studies":
        app.run()  # Studies, which loads what all pages need
    # `switch_page` finds pages that are files; these are functions, known by their address.
    if view != "studies":
        pages_there = app._registered_pages.items()
        app._page_hash = next(key for key, page in pages_there if page["url_pathname"] == view)
    # As `dashboard.server` does, which loaded all views: what is kept is not looked through for garbage.
    gc.collect()
    gc.freeze()
    opened = _timed(app.run)
    for key, value in changed.items():
        app.session_state[key] = value
    seconds = [opened, _timed(app.run), _timed(app.run)]
    if app.exception or app.error:
        raise RuntimeError(f"The page {name} failed: {app.exception or app.error}.")
    return seconds


def _timed(question: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds by the wall and those of all processors."""
    began, worked = time.perf_counter(), time.process_time()
    question()
    return time.perf_counter() - began, time.process_time() - worked


def measure(kind: str, folder: Path, name: str, steps: int) -> dict[str, Any]:
    """Ask one question, or open one page, in a process of its own."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.views", "--folder", str(folder), "--steps", str(steps)),
            *("--alone", kind, name),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Make the store unless it is there, ask everything, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="where the store lies or is made; a temporary one without"
    )
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--alone", nargs=2, metavar=("KIND", "NAME"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        kind, name = asked.alone
        seconds = open_page(asked.folder, name) if kind == "page" else ask(asked.folder, name, asked.steps)
        # Not `ru_maxrss`: a process begins with that of its parent, which may have made the store.
        kept = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
        peak = int(kept["VmHWM"].split()[0]) / 1024
        print(json.dumps({"seconds": seconds, "peak": peak}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.folder or Path(temporary) / "lab").absolute()
        made = ""
        if not folder.exists():
            cost = make(folder, asked.seeds, asked.steps, asked.metrics)
            values = asked.seeds * asked.steps * asked.metrics
            made = (
                f" Sealing took {cost['sealing']:.0f} s ({values / cost['sealing'] / 1e6:.0f} million values "
                f"a second), {cost['bytes'] / values:.2f} bytes a value."
            )
        table = _table(folder, asked.steps)
    size = f"{asked.seeds} seeds, {asked.steps:,} steps, {asked.metrics} metrics, all sealed.{made}"
    report("views", "What the views cost on a large study", f"{size}\n\n{table}", torch.device("cpu"))


def _table(folder: Path, steps: int) -> str:
    lines = [
        "| question | first time | then, median | processors, median | peak memory |",
        "|---|---|---|---|---|",
    ]
    for name in questions(open_store(folder).traces, steps):
        found = measure("question", folder, name, steps)
        first, *others = found["seconds"]
        wall, work = (statistics.median(times) for times in zip(*others, strict=True))
        peak = f"{found['peak']:,.0f} MiB"
        lines.append(f"| {name} | {first[0]:.2f} s | {wall:.2f} s | {work:.2f} s | {peak} |")
    lines += ["", "| page | opened | a control changed | processors | as it is | peak memory |"]
    lines.append("|---|---|---|---|---|---|")
    for name in pages():
        found = measure("page", folder, name, steps)
        opened, changed, same = found["seconds"]
        times = " | ".join(f"{each:.2f} s" for each in (opened[0], *changed, same[0]))
        lines.append(f"| {name} | {times} | {found['peak']:,.0f} MiB |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
