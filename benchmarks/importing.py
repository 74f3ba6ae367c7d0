"""What importing ten million values costs, beside pandas.read_csv and an insert into DuckDB by hand.

One CSV file of 714,286 rows and 14 metrics, of 14 runs told apart by a column. Each way runs in a process of
its own, so that its peak of memory is its own; rounds alternate. By hand nothing is checked: no duplicate, no
order, no provenance, no fsync, and a crash leaves half a table.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks._report import report

ROUNDS = 3
VALUES, METRICS, RUNS = 10_000_000, 14, 14


def write(path: Path) -> None:
    """Write the file, with the numbers that float64 prints."""
    rng = np.random.default_rng(0)
    rows = VALUES // METRICS // RUNS
    with path.open("w", encoding="utf-8") as file:
        file.write("seed,step," + ",".join(f"metric{place}" for place in range(METRICS)) + "\n")
        for seed in range(RUNS):
            values = rng.lognormal(size=(rows, METRICS))
            for step, row in enumerate(values.tolist()):
                file.write(f"{seed},{step},{','.join(map(repr, row))}\n")


def by_hand(path: Path, folder: Path) -> int:
    """Read it with pandas and insert it into a DuckDB file, sorted."""
    import duckdb
    import pandas as pd

    frame = pd.read_csv(path)
    with duckdb.connect(str(folder / "hand.duckdb")) as connection:
        connection.execute("CREATE TABLE traces AS SELECT * FROM frame ORDER BY seed, step")
        return len(frame)


def imported(path: Path, folder: Path) -> int:
    """Import it into a new store."""
    from data.importing.gathering import Given
    from data.importing.intake import Intake
    from data.importing.roles import Corrections
    from data.store import open_store

    store = open_store(folder / "lab", create=True)
    intake = Intake.begin(store.uploads / "benchmark", [Given(path.name, path)])
    job = store.catalog.create_job("import_logs", "benchmark", {}).id
    return intake.commit(store, job, "benchmark", Corrections(), "benchmark", "benchmark").rows


def measure(way: str, path: Path) -> dict[str, float]:
    """Run one way in a process of its own, and return its seconds and its peak of memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.importing", way, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def alone(way: str, path: Path) -> None:
    """Be that process."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        began = time.perf_counter()
        rows = (by_hand if way == "by_hand" else imported)(path, Path(folder))
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "rows": rows}))


def main() -> None:
    """Measure both ways in turn and keep the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.csv"
        write(path)
        size = path.stat().st_size
        ways = {way: [] for way in ("by_hand", "imported")}  # type: dict[str, list[dict[str, float]]]
        for _ in range(ROUNDS):
            for way, found in ways.items():
                found.append(measure(way, path))
    names = {"by_hand": "pandas.read_csv, then DuckDB", "imported": "Detour's import"}
    rows = [
        f"| {names[way]} | {statistics.median(one['seconds'] for one in found):.1f} s | "
        f"{max(one['peak'] for one in found):,.0f} MiB | {found[0]['rows']:,.0f} |"
        for way, found in ways.items()
    ]
    pairs = zip(ways["imported"], ways["by_hand"], strict=True)
    ratios = sorted(ours["seconds"] / theirs["seconds"] for ours, theirs in pairs)
    table = "\n".join(
        [
            f"One CSV file, {size / 1e6:,.0f} MB; the median of {ROUNDS} rounds in turn, the largest peak of "
            "memory.",
            "",
            "| way | time | peak memory | rows |",
            "|---|---|---|---|",
            *rows,
            "",
            f"The import takes {statistics.median(ratios):.2f} times as long "
            f"[{ratios[0]:.2f}, {ratios[-1]:.2f}].",
        ]
    )
    report("importing", "Importing ten million values", table, torch.device("cpu"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        alone(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
