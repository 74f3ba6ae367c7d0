"""Faults at random: a lab with real processes meets one after the other, and must be whole after each.

A round queues a training and lets a run log itself to the server while somebody reads; at a random moment it
does the fault, lets a service manager restart what ended, resumes the training where it was stopped, and then
holds: rows that were acknowledged are there once, the training has the bits of an undisturbed one, no job or
run is said to be what it is not, nothing is left over, `check` is clean, and nobody met a traceback.
"""

import argparse
import multiprocessing
import random
import statistics
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor

import torch

from benchmarks._report import report
from tests.faults.injecting import FAULTS
from tests.faults.lab import Lab
from tests.faults.rounds import Outcome, play
from tests.postgresql import _programs


def main() -> int:
    """Play rounds, and keep their table; the exit status says whether all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--at-once", type=int, default=1, help="labs that are played in at once")
    parser.add_argument("--keep", action="store_true", help="write the table to benchmarks/results")
    arguments = parser.parse_args()
    there = {"file": True, "clock": Lab.has_clock(), "database": _programs() is not None}
    kinds = [fault for fault in FAULTS.values() if there[fault.where] and arguments.only in fault.name]
    # Each kind as often as the others, in any order; those of one kind of lab in a row.
    drawn = [kinds[number % len(kinds)] for number in range(arguments.rounds)]
    random.Random(arguments.seed).shuffle(drawn)
    shares = list[tuple[list[str], str, int]]()
    for where in there:
        names = [fault.name for fault in drawn if fault.where == where]
        parts = max(1, round(arguments.at_once * len(names) / len(drawn)))
        shares += [
            (names[part::parts], where, arguments.seed * 100 + len(shares) + part) for part in range(parts)
        ]
    with ProcessPoolExecutor(arguments.at_once, multiprocessing.get_context("spawn")) as pool:
        played = [one for each in pool.map(play, *zip(*shares, strict=True)) for one in each]
    text = table(played)
    if arguments.keep:
        report("faults", "Faults at random moments", text, torch.device("cpu"))
    else:
        sys.stdout.write(f"{text}\n")
    return int(any(outcome is not None and outcome.findings for _, outcome in played))


def table(played: list[tuple[str, Outcome | None]]) -> str:
    """Return the table of all rounds."""
    lines = [
        "| fault | rounds | rows acknowledged | lost | ready again, s: median, longest | resumed | after |",
        "|---|---|---|---|---|---|---|",
    ]
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    for name, outcome in played:
        outcomes[name] += [] if outcome is None else [outcome]
    for name, each in sorted(outcomes.items()):
        if not each:
            lines.append(f"| {name} | none: this user can do it to no disk here | | | | | |")
            continue
        waits, findings = [one.ready_s for one in each], sum(len(one.findings) for one in each)
        lines.append(
            f"| {name} | {len(each)} | {sum(one.acknowledged for one in each):,} | "
            f"{sum(one.lost for one in each)} | {statistics.median(waits):.1f}, {max(waits):.1f} | "
            f"{sum(one.resumed for one in each)} | {f'{findings} findings' if findings else 'clean'} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
