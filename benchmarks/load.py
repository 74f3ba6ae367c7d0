"""What twenty people at once meet: pages and controls over the real WebSocket, while two jobs write.

Each session is a client of Streamlit's own protocol: it opens pages, changes their controls, waits as people
do and opens the next. What it measures is the time from a request to the end of the script, with everything
the script sent received. Once they look at a page before they go on, and once they click as fast as they can.
The writers are two processes that write as trainings do, 64 runs of 14 metrics, flushed every second; in the
end every row they had acknowledged must be there.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.typing import Subprotocol

from benchmarks._report import report
from benchmarks.views import STUDY, make
from data.store import open_store
from data.traces import TraceWriter
from engine.jobs.worker import me

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "studies",
    "runs",
    "traces",
    "traces",
    "latent_states",
    "detours",
    "shuffling",
    "upload",
    "train",
    "admin",
)
PACES = {"who look at each page for 5 to 15 s": (5.0, 15.0), "who click again after 1 to 4 s": (1.0, 4.0)}
CONTROLS = 3
RUNS, METRICS, STEPS = 64, 14, 100


@dataclass
class Measured:
    """What sessions met."""

    pages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    controls: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    bytes: int = 0


class Session:
    """One person's tab."""

    def __init__(self, address: str, measured: Measured, seed: int, pace: tuple[float, float]) -> None:
        self._pace, self._address, self._measured = pace, address, measured
        self._random = random.Random(seed)
        self._widgets: dict[str, tuple[Any, str]] = {}
        self._states: dict[str, WidgetState] = {}

    async def live(self, until: float) -> None:
        """Open pages and change controls until a moment of `time.monotonic`."""
        await asyncio.sleep(self._random.uniform(0, self._pace[1]))
        while time.monotonic() < until:
            page = self._random.choice(PAGES)
            try:
                # A new tab for every page, as by a link: the dearest way to look at one.
                async with websockets.connect(
                    self._address,
                    subprotocols=[Subprotocol("streamlit")],
                    max_size=None,
                    open_timeout=60,
                ) as tab:
                    self._widgets.clear()
                    self._states.clear()
                    self._measured.pages[page].append(await self._run(tab, page))
                    for _ in range(CONTROLS):
                        await asyncio.sleep(self._random.uniform(*self._pace))
                        if (fragment := self._change()) is not None:
                            self._measured.controls[page].append(await self._run(tab, page, fragment))
            except (OSError, TimeoutError, websockets.WebSocketException) as error:
                self._measured.errors[f"{page}: {type(error).__name__}"] += 1

    async def _run(self, tab: Any, page: str, fragment: str = "") -> float:
        """Run a page's script, or a fragment of it, and return the seconds until it ended."""
        ask = BackMsg()
        ask.rerun_script.query_string = f"study={STUDY}"
        ask.rerun_script.page_name = page
        ask.rerun_script.fragment_id = fragment
        ask.rerun_script.widget_states.widgets.extend(self._states.values())
        began = time.perf_counter()
        await tab.send(ask.SerializeToString())
        while True:
            content = await asyncio.wait_for(tab.recv(), 120)
            self._measured.bytes += len(content)
            told = ForwardMsg()
            told.ParseFromString(content)
            kind = told.WhichOneof("type")
            if kind == "script_finished":
                return time.perf_counter() - began
            if kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                self._note(page, told)

    def _note(self, page: str, told: ForwardMsg) -> None:
        element = told.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception":
            self._measured.errors[f"{page}: {element.exception.type}"] += 1
        elif kind == "alert" and element.alert.format == element.alert.ERROR:
            self._measured.errors[f"{page}: {element.alert.body[:60]}"] += 1
        elif kind in ("selectbox", "checkbox"):
            widget = getattr(element, kind)
            if not widget.disabled:
                self._widgets[widget.id] = (widget, told.delta.fragment_id)

    def _change(self) -> str | None:
        """Give a control of the page another value; return the fragment it is in, None without controls."""
        chosen = [
            (widget, fragment)
            for widget, fragment in self._widgets.values()
            if not hasattr(widget, "options") or (len(widget.options) > 1 and widget.label != "Study")
        ]
        if not chosen:
            return None
        widget, fragment = self._random.choice(chosen)
        state = WidgetState(id=widget.id)
        if hasattr(widget, "options"):
            state.string_value = self._random.choice(list(widget.options))
        else:
            before = self._states.get(widget.id)
            state.bool_value = not (before.bool_value if before else widget.default)
        self._states[widget.id] = state
        return str(fragment)


def write(root: Path, name: str, stop: Event, acknowledged: Any) -> None:
    """Write as a training does until asked to stop, and say how many rows were acknowledged."""
    store = open_store(root)
    store.catalog.save_study(name, name, "", {}, "client")
    job = store.catalog.create_job("log", name, {}, me()).id
    runs = store.catalog.start_runs(job, name, [("A", seed, {}) for seed in range(RUNS)], 10**6, "cpu")
    names = [f"metric{place}" for place in range(METRICS)]
    writer, rng, step = TraceWriter(store, job, names), np.random.default_rng(0), 0
    ids = np.repeat(np.array(runs), STEPS)
    while not stop.is_set():
        began = time.monotonic()
        steps = np.tile(np.arange(step, step + STEPS), RUNS)
        values = {name: rng.normal(size=len(ids)).astype(np.float32) for name in names}
        writer.write(ids, steps, steps / 1000, steps / 100, values)
        writer.flush()
        step += STEPS
        acknowledged.value += len(ids)
        store.catalog.heartbeat(job, step, 10**6, None, "")
        store.catalog.advance_runs(dict.fromkeys(runs, step))
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))
    writer.close()
    store.catalog.finish_job(job, "done", runs="done")
    store.close()


def measure(
    root: Path, sessions: int, seconds: float, pace: tuple[float, float]
) -> tuple[Measured, dict[str, float]]:
    """Serve the store to many sessions while two processes write to it."""
    port = 8790
    server = subprocess.Popen(
        [sys.executable, "-m", "engine", "--store", str(root), "serve", "--headless", "--port", str(port)],
        cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    context = multiprocessing.get_context("spawn")
    stop, counts = (
        context.Event(),
        {f"written-{pace[0]:g}-{place}": context.Value("q", 0) for place in range(2)},
    )
    writers = [
        context.Process(target=write, args=(root, name, stop, count)) for name, count in counts.items()
    ]
    try:
        app = _ready(server, port)
        alone = app.memory_info().rss
        for writer in writers:
            writer.start()
        measured, peak = asyncio.run(
            _sessions(f"ws://127.0.0.1:{port}/_stcore/stream", app, sessions, seconds, pace)
        )
        stop.set()
        for writer in writers:
            writer.join(60)
        store = open_store(root)
        kept = sum(store.traces.count(name) for name in counts)
        store.close()
        acknowledged = sum(count.value for count in counts.values())
        return measured, {"alone": alone, "peak": peak, "acknowledged": acknowledged, "kept": kept}
    finally:
        stop.set()
        server.terminate()
        server.wait(30)


async def _sessions(
    address: str, app: psutil.Process, count: int, seconds: float, pace: tuple[float, float]
) -> tuple[Measured, int]:
    measured, until, peak = Measured(), time.monotonic() + seconds, 0
    tabs = [asyncio.create_task(Session(address, measured, seed, pace).live(until)) for seed in range(count)]
    while not all(tab.done() for tab in tabs):
        peak = max(peak, app.memory_info().rss)
        await asyncio.sleep(1)
    await asyncio.gather(*tabs)
    return measured, peak


def _ready(server: "subprocess.Popen[bytes]", port: int) -> psutil.Process:
    """Wait until the app answers and return its process."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/ready", timeout=2) as answer:
                if answer.status == 200:
                    return next(
                        child
                        for child in psutil.Process(server.pid).children(recursive=True)
                        if "streamlit" in child.cmdline()
                    )
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("The app did not start.")


def _row(name: str, times: list[float]) -> str:
    ordered = sorted(times)
    p50, p95 = statistics.median(ordered), ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]
    return f"| {name} | {len(times)} | {p50:.2f} | {p95:.2f} | {ordered[-1]:.2f} |"


def _table(measured: Measured, told: dict[str, float], sessions: int) -> str:
    lines = ["| what | n | p50, s | p95, s | longest, s |", "|---|---|---|---|---|"]
    for kind, times in (("page", measured.pages), ("control", measured.controls)):
        lines.append(_row(f"{kind}, all views", [one for each in times.values() for one in each]))
        lines += [_row(f"{kind} {view}", each) for view, each in sorted(times.items()) if each]
    errors = f"{sum(measured.errors.values())}{': ' + json.dumps(measured.errors) if measured.errors else ''}"
    grown = (told["peak"] - told["alone"]) / 2**20 / sessions
    lines.append(
        f"\nErrors: {errors}. Received: {measured.bytes / 2**20:,.0f} MiB. Memory of the app: "
        f"{told['alone'] / 2**20:,.0f} MiB before anybody came, {told['peak'] / 2**20:,.0f} MiB at its peak, "
        f"{grown:,.1f} MiB a session. Rows that the writers were told are kept: {told['acknowledged']:,}; "
        f"there in the end: {told['kept']:,}."
    )
    return "\n".join(lines)


def main() -> None:
    """Run the measurement and keep its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=5_000, help="of each of the 300 runs that are looked at")
    arguments = parser.parse_args()
    folder, parts = Path(tempfile.mkdtemp(prefix="detour-load-")), []
    try:
        make(folder / "lab", 300, arguments.steps, 20)
        for words, pace in PACES.items():
            found = measure(folder / "lab", arguments.sessions, arguments.minutes * 60, pace)
            parts.append(f"## {arguments.sessions} people {words}\n\n{_table(*found, arguments.sessions)}")
            sys.stdout.write(f"{parts[-1]}\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    parts.append(
        f"{arguments.minutes:g} minutes each, on {os.cpu_count()} cores that app, clients and writers share; "
        f"300 runs of {arguments.steps:,} steps, 20 metrics."
    )
    report("load", "Twenty people at once, while two jobs write", "\n\n".join(parts), torch.device("cpu"))


if __name__ == "__main__":
    main()
