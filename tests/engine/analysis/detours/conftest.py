"""Runs through known states: a planted detour, and states that only look like one."""

from typing import NamedTuple

import numpy as np
import pytest

START, PLATEAU, DETOUR, TWIN, REPLACEMENT, SHORTCUT, CLIMB, FINAL, AFTERMATH, EXCURSION = range(10)
N_STATES = 10
Segment = tuple[int, int]


class World(NamedTuple):
    paths: list[np.ndarray]
    converged_at: list[int | None]


def dwell(rng: np.random.Generator, mean: float, shape: float = 4.0) -> int:
    return 3 + int(rng.gamma(shape, (mean - 3) / shape))


def recorded(segments: list[Segment], lag: int, rows: int) -> tuple[np.ndarray, int | None]:
    """The path up to the last row recorded, and the step of convergence `lag` rows into the final state."""
    path = np.concatenate([np.full(n, state) for state, n in segments])
    at = len(path) + lag
    path = np.concatenate([path, np.full(60, FINAL), np.full(rows, AFTERMATH)])[:rows]
    return path, at if at < rows else None


def planted(seed: int, n: int = 40, delay: float = 45.0, rows: int = 260) -> World:
    """A detour for half of the runs; a replacement for half; a short cut for the fast; a variable plateau.

    The final state is entered up to 8 rows before or after convergence, the aftermath 60 rows later: only
    early runs are recorded for long enough to reach it. Few runs are censored.
    """
    rng = np.random.default_rng([seed, n])
    paths, converged_at = [], []
    for _ in range(n):
        segments: list[Segment] = [(START, dwell(rng, 15)), (PLATEAU, dwell(rng, 40, 3.0))]
        if delay and rng.random() < 0.5:
            segments.append((DETOUR, dwell(rng, delay)))
        segments.append((REPLACEMENT if rng.random() < 0.5 else TWIN, dwell(rng, 20)))
        if sum(length for _, length in segments) < 90:
            segments.append((SHORTCUT, 4))
        segments.append((CLIMB, dwell(rng, 15)))
        path, at = recorded(segments, int(rng.integers(-8, 9)), rows)
        paths.append(path)
        converged_at.append(at)
    return World(paths, converged_at)


def excursions(seed: int, n: int = 40, mean_rows_between: float = 60.0) -> World:
    """Plateaus of very different length; brief visits to a state at a constant rate, to no effect."""
    rng = np.random.default_rng([seed, n, 1])
    paths, converged_at = [], []
    for _ in range(n):
        length = dwell(rng, 60, 1.5)
        plateau: list[int] = []
        while len(plateau) < length:
            plateau += [PLATEAU] * int(rng.geometric(1 / mean_rows_between)) + [EXCURSION] * 6
        segments = [
            (START, dwell(rng, 15)),
            *((state, 1) for state in plateau[:length]),
            (CLIMB, dwell(rng, 20)),
        ]
        path, at = recorded(segments, 0, 500)
        paths.append(path)
        converged_at.append(at)
    return World(paths, converged_at)


def forks(seed: int, n: int, chances: dict[int, float], delays: dict[int, int]) -> World:
    """One fork after another, each to a state or straight on; all else about a run is noise at the end."""
    rng = np.random.default_rng([seed, n, 2])
    paths, converged_at = [], []
    for _ in range(n):
        segments: list[Segment] = [(START, 5)]
        for state, chance in chances.items():
            if rng.random() < chance:
                segments.append((state, 3 + delays.get(state, 0)))
            else:
                segments.append((PLATEAU, 3))
            segments.append((CLIMB, 5))
        segments.append((TWIN, int(rng.integers(3, 40))))
        path, at = recorded(segments, 0, 300)
        paths.append(path)
        converged_at.append(at)
    return World(paths, converged_at)


@pytest.fixture(scope="session")
def worlds() -> type:
    """The generators by name; test files cannot import from a conftest."""

    class Worlds:
        planted = staticmethod(planted)
        excursions = staticmethod(excursions)
        forks = staticmethod(forks)

    return Worlds
