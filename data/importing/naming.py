"""Arm and seed of a run, guessed from what it is called; both are shown and can be corrected."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_SUFFIXES = re.compile(
    r"\.(csv|tsv|txt|jsonl?|ndjson|parquet|pq|feather|arrow|ipc|np[yz]|duckdb|db|sqlite3?|log|gz|bz2|xz|zip|tar|tgz)$",
    re.IGNORECASE,
)
_GENERIC = frozenset(
    (
        *("run", "runs", "trial", "trials", "rep", "seed", "seeds", "version", "log", "logs", "metrics"),
        *("metric", "progress", "results", "result", "history", "monitor", "trainer_state", "train_log"),
        *("training_log", "lightning_logs", "mlruns", "wandb", "scalars", "data", "output", "outputs"),
        *("checkpoint", "events", "tensorboard", "tb", "traces", "trace", "csv", "stats", "summary"),
    )
)
_SEED = re.compile(
    r"(?:^|(?<=[/_\-. =]))(?:random_seed|rng_seed|seed|sd|s)[ _\-=]?(\d{1,9})(?=$|[/_\-. ])", re.IGNORECASE
)
_NUMBERED = re.compile(
    r"(?:^|(?<=[/_\-. ]))(?:run|trial|rep|replicate|version|v|r|fold)[ _\-=]?(\d{1,9})(?=$|[/_\-. ])",
    re.IGNORECASE,
)
_LAST = re.compile(r"(?<=[_\- /(])(\d{1,6})\)?$")
_EVENTS = re.compile(r"^events\.out\.tfevents\..*$")
_RANDOM = re.compile(r"^[a-z]+-[a-z]+-(\d+)$")

ALONE = "all"
"""The arm of runs whose names tell no arms apart."""


class Guess(NamedTuple):
    """Arm and seed of a run; `seed` is None where its name tells none."""

    arm: str
    seed: int | None


def run_name(file: str, table: str = "") -> str:
    """Return what a run is called after its file: without endings, and without words that every log has."""
    parts = [_bare(part) for part in file.split("/")]
    if _EVENTS.match(parts[-1]):
        parts.pop()
    kept = [part for part in [*parts, *([table] if table else [])] if part.lower() not in _GENERIC]
    return "/".join(kept)


def _bare(part: str) -> str:
    while (bare := _SUFFIXES.sub("", part)) != part:
        part = bare
    return part


def guess(names: Sequence[str]) -> list[Guess]:
    """Return arm and seed of runs by their names, which are looked at together.

    A seed is a number after "seed" or "s"; else, a number after "run", "version" or the like; else, one at
    the end, where the numbers of names that are alike but for it are consecutive. What is left, less what all
    names share, is the arm. Names that a tracker draws at random ("brave-sun-12") are runs of one arm.
    """
    if len(names) > 1 and all(_RANDOM.match(name.rpartition("/")[2]) for name in names):
        return [Guess(ALONE, None)] * len(names)
    for pattern in (_SEED, _NUMBERED):
        if any(pattern.search(name) for name in names):
            split = [_without(name, pattern) for name in names]
            break
    else:
        split = _numbered_at_the_end(names)
    shared = _shared([arm for arm, _ in split])
    arms = [_tidy(arm, shared) for arm, _ in split]
    if set(arms) == {ALONE}:  # then the folder that all lie in is the best name there is
        arms = [_tidy(arm.rpartition("/")[0].rpartition("/")[2], frozenset()) for arm, _ in split]
    return [Guess(arm, seed) for arm, (_, seed) in zip(arms, split, strict=True)]


def _without(name: str, pattern: re.Pattern[str]) -> tuple[str, int | None]:
    found = pattern.search(name)
    if found is None:
        return name, None
    return f"{name[: found.start()]}{name[found.end() :]}", int(found[1])


def _numbered_at_the_end(names: Sequence[str]) -> list[tuple[str, int | None]]:
    split = [_without(name, _LAST) for name in names]
    numbers: dict[str, list[int]] = {}
    for arm, seed in split:
        if seed is not None:
            numbers.setdefault(arm, []).append(seed)
    counted = any(
        len(seeds) > 1 and sorted(seeds) == list(range(min(seeds), min(seeds) + len(seeds)))
        for seeds in numbers.values()
    )
    return split if counted else [(name, None) for name in names]


def _shared(arms: Sequence[str]) -> frozenset[str]:
    """Return folders that all names have."""
    counts = Counter(part for arm in arms for part in set(arm.split("/")[:-1]))
    return frozenset(part for part, count in counts.items() if count == len(arms))


def _tidy(arm: str, shared: frozenset[str]) -> str:
    *folders, last = arm.split("/")
    parts = [*(folder for folder in folders if folder not in shared), last]
    kept = [re.sub(r"([_\-. ])[_\-. ]+", r"\1", part).strip("_-. =") for part in parts]
    kept = [part for part in kept if part and part.lower() not in _GENERIC]
    return "/".join(kept) or ALONE
