"""Detour, TensorBoard and Aim on the same logs: 300 runs of 20 metrics, written as TensorBoard writes them.

TensorBoard and Aim are no part of Detour: each is run by the Python of an environment of its own, which is
named. Measured are the way from the files to the first chart on a screen, and the memory of what serves it.
The first chart is all runs of one metric. Aim's environment needs tensorflow too, for its converter.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

from benchmarks._report import report

ROOT = Path(__file__).resolve().parents[1]
PORT = 8795
# What Aim's converter says of logs that it leaves out, to exit with 0 all the same.
COMPLAINTS = ("Could not process", "Failed to process", "Failed to read", "WARN:", "Found unsupported")
WRITE = """
import sys
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
import random
folder, seeds, steps, metrics = sys.argv[1], *map(int, sys.argv[2:])
for run in range(2 * seeds):
    arm, seed = ("SS", "RR")[run // seeds], run % seeds
    random.seed(run)
    writer = EventFileWriter(f"{folder}/{arm}/seed{seed}")
    for step in range(steps):
        values = [
            Summary.Value(tag=f"metric{place}", simple_value=2.0 ** (-step / steps) + random.gauss(0, 0.02))
            for place in range(metrics)
        ]
        writer.add_event(Event(wall_time=1e9 + step, step=step, summary=Summary(value=values)))
    writer.close()
"""

SHOWN = """
What each shows of the first metric, at 1280 x 800, as one comes to it:

- Detour: every run as a faint line in its arm's colour, thinned but for its extremes; each arm's median
  and quantile bands over its seeds, of all points, with their n; which share of the points is drawn.
- TensorBoard: every run in a colour of its own, smoothed by 0.6, the raw line faint behind, in a card a
  third as wide; outliers ignored when the axis is scaled; no arms, no bands.
- Aim: every run in a colour of its own, all points of it; no arms and no bands until one groups by a
  parameter, which TensorBoard's logs do not have.
"""


class Seen(NamedTuple):
    """How one tool did: seconds to take the files in, to the first chart after that, and MiB with it open.

    Taken in are the files when a server that was started on them lists them.
    """

    taken: float
    chart: float
    memory: float


def _listening() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[psutil.Process]:
    """Run a server in a process group of its own: `aim up` leaves its server behind when it ends."""
    if _listening():
        raise RuntimeError(f"Something else listens on port {PORT}, and would be measured.")
    with (folder / "served.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "DETOUR_STORE": ""},
            start_new_session=True,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        _until(lambda: not _listening(), 30)


def _memory(process: psutil.Process) -> float:
    """Return the MiB of a process and all below it."""
    family = [process, *process.children(recursive=True)]
    return float(sum(one.memory_info().rss for one in family if one.is_running())) / 2**20


def _until(what: Callable[[], bool], seconds: float = 600) -> float:
    """Wait until something is so, and return how long it took."""
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        try:
            if what():
                return time.perf_counter() - began
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError("It never came to be.")


def _answers(path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=30) as answer:
        return bytes(answer.read())


def _drawn(page: Page, chart: Locator) -> bool:
    """Say whether a chart shows lines: colours, where its frame, grid, and words are grey."""
    box = chart.bounding_box()
    if not box:
        return False
    picture = page.screenshot(
        clip={"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]}
    )
    saturations = Image.open(BytesIO(picture)).convert("HSV").getchannel("S").histogram()
    return sum(saturations[100:]) >= 100


def _chart(
    page: Page,
    path: str,
    selector: str,
    shot: Path,
    *,
    count: int = 1,
    ask: Callable[[Page], None] | None = None,
) -> float:
    """Open a page, ask it for a chart, and return the seconds until so many of its elements show lines.

    Elements come before their contents, so pictures are looked at, one every few tenths of a second.
    """
    page.set_default_timeout(300_000)
    began = time.perf_counter()
    page.goto(f"http://127.0.0.1:{PORT}{path}", wait_until="commit")
    if ask:
        ask(page)
    chart = page.locator(selector).nth(count - 1)
    chart.wait_for(state="visible")
    _until(lambda: _drawn(page, chart), 300)
    seconds = time.perf_counter() - began
    page.wait_for_timeout(3000)
    page.screenshot(path=str(shot))
    return seconds


def detour(logs: Path, folder: Path, page: Page) -> Seen:
    """Import the logs, serve them, and open the view Traces.

    It draws every run, unsmoothed but thinned to some 7,000 points a chart, 23 of each of 300 runs, which
    is fewer than the others draw; and each arm's median and quantiles, of all points.
    """
    store = folder / "lab"
    began = time.perf_counter()
    engine = [sys.executable, "-m", "engine", "--store", str(store)]
    subprocess.run(
        [*engine, "import", str(logs), "--study", "beside"], check=True, cwd=ROOT, capture_output=True
    )
    with _running([*engine, "serve", "--headless", "--port", str(PORT)], folder) as server:
        _until(lambda: b"true" in _answers("/api/ready"))
        taken = time.perf_counter() - began
        chart = _chart(
            page, "/traces?study=beside", "[data-testid=stVegaLiteChart] .marks", folder / "detour.png"
        )
        return Seen(taken, chart, _memory(server))


def tensorboard(python: str, logs: Path, folder: Path, page: Page) -> Seen:
    """Serve the logs and open the time series.

    It draws every run, of up to 500, smoothed by 0.6, and 1,000 points of each at most.
    """
    command = [str(Path(python).with_name("tensorboard")), "--logdir", str(logs), "--port", str(PORT)]
    with _running(command, folder) as server:
        runs = sum(1 for _ in logs.rglob("events*"))
        taken = _until(lambda: _answers("/data/runs").count(b"seed") >= runs)
        chart = _chart(
            page,
            "/?darkMode=false#timeseries",
            "scalar-card line-chart canvas, scalar-card line-chart svg.lines path",
            folder / "tensorboard.png",
        )
        return Seen(taken, chart, _memory(server))


def _metric(page: Page) -> None:
    """Choose one metric in Aim's explorer, and wait for its progress to give way to the chart."""
    page.get_by_role("button", name="Metrics").first.click()
    page.get_by_role("option", name="metric0", exact=True).first.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Search").first.click()
    page.locator(".Lines path.Line").first.wait_for(state="attached")
    page.get_by_text("matched run(s)").wait_for(state="hidden")


def aim(python: str, logs: Path, folder: Path, page: Page) -> Seen:
    """Convert the logs, fill the index, serve them, and choose a metric in the metrics explorer.

    The chart is drawn when each run has its line: all of up to 500 steps, unsmoothed.
    """
    tool, repository = str(Path(python).with_name("aim")), folder / "aim"
    repository.mkdir()
    began = time.perf_counter()
    subprocess.run([tool, "init", "--repo", str(repository), "-y"], check=True, capture_output=True)
    # Without --flat the seeds of an arm become one run.
    convert = [tool, "convert", "--repo", str(repository), "tensorboard", "--flat", "--logdir", str(logs)]
    done = subprocess.run(convert, check=True, capture_output=True, text=True)
    said = done.stdout + done.stderr
    if "conversion complete" not in said or any(complaint in said for complaint in COMPLAINTS):
        raise RuntimeError(f"Aim did not convert the logs: {said[-2000:]}")
    runs = sum(1 for _ in logs.rglob("events*"))
    # The server would do it, one run after another, and show those it has.
    subprocess.run(
        [tool, "storage", "--repo", str(repository), "reindex", "-y"], check=True, capture_output=True
    )
    with _running(
        [tool, "up", "--repo", str(repository), "--port", str(PORT), "--host", "127.0.0.1"], folder
    ) as server:
        _until(lambda: b'"metric0"' in _answers("/api/projects/params/?sequence=metric"))
        taken = time.perf_counter() - began
        chart = _chart(page, "/metrics", ".Lines path.Line", folder / "aim.png", count=runs, ask=_metric)
        return Seen(taken, chart, _memory(server))


def main() -> None:
    """Run the tools one after another and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tensorboard", required=True, metavar="PYTHON", help="of an environment that has it"
    )
    parser.add_argument("--aim", metavar="PYTHON", help="of an environment that has it")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=150, help="of each of two arms")
    parser.add_argument("--shots", type=Path, help="folder for a picture of what each shows")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="detour-beside-"))
    logs = folder / "logs"
    size = [str(arguments.seeds), str(arguments.steps), "20"]
    subprocess.run([arguments.tensorboard, "-c", WRITE, str(logs), *size], check=True)
    tools: dict[str, Callable[[Page], Seen]] = {"Detour": lambda page: detour(logs, folder, page)}
    tools["TensorBoard"] = lambda page: tensorboard(arguments.tensorboard, logs, folder, page)
    if arguments.aim:
        tools["Aim"] = lambda page: aim(arguments.aim, logs, folder, page)
    lines = [
        "| tool | files taken in, s | first chart after that, s | memory of what serves it, MiB |",
        "|---|---|---|---|",
    ]
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for name, look in tools.items():
                page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
                seen = look(page)
                page.context.close()
                lines.append(f"| {name} | {seen.taken:.1f} | {seen.chart:.1f} | {seen.memory:,.0f} |")
                print(lines[-1], flush=True)
            browser.close()
    finally:
        if arguments.shots:
            arguments.shots.mkdir(parents=True, exist_ok=True)
            for shot in folder.glob("*.png"):
                shutil.copy(shot, arguments.shots)
        size_mb = sum(path.stat().st_size for path in logs.rglob("*") if path.is_file()) / 1e6
        shutil.rmtree(folder, ignore_errors=True)
    lines.append(
        f"\n{2 * arguments.seeds} runs of {arguments.steps} steps and 20 metrics, {size_mb:,.0f} MB of files."
    )
    lines.append(SHOWN)
    report("beside", "Beside TensorBoard and Aim, on the same logs", "\n".join(lines), torch.device("cpu"))


if __name__ == "__main__":
    main()
