"""Recycles the dormant units of a stack while it trains."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from engine.models._units import Units
from engine.training.ensemble import Build, Ensemble, initial
from engine.training.optimizers import StackedOptimizer
from engine.training.redo import dormant, recycle

# Scores are means over examples: this many of them tell a dormant unit from a quiet one.
_ROWS = 1024


def recycle_dormant(
    ensemble: Ensemble,
    optimizer: StackedOptimizer,
    inputs: Tensor,
    threshold: float,
    build: Build,
    seeds: Sequence[tuple[int, int]],
) -> None:
    """Give every dormant unit fresh incoming weights and none going out, and forget their moments.

    Args:
        ensemble: the replicas; their parameters change in place.
        optimizer: theirs; its moments change in place.
        inputs: training rows; the first 1,024 tell which units are dormant.
        threshold: score up to which a unit counts as dormant.
        build: returns a freshly initialized module.
        seeds: (seed, step) of each replica, which fresh weights are a function of.

    Source:
        Sokar et al. 2023, algorithm 1.
    """
    units = units_of(ensemble.skeleton)
    scores = dormant(ensemble.hidden(inputs[:_ROWS]), threshold)
    if not any(bool(mask.any()) for mask in scores.values()):
        return
    drawn = [int(np.random.SeedSequence(pair).generate_state(1)[0]) for pair in seeds]
    dtype = next(iter(ensemble.parameters.values())).dtype
    fresh = initial(build, drawn, inputs.device, dtype)
    with torch.no_grad():
        recycle(ensemble.parameters, optimizer.moments, units, scores, fresh)


def units_of(model: nn.Module) -> tuple[Units, ...]:
    """Return which parameters lead into and out of the units of each nonlinearity; none where not said."""
    told = getattr(model, "units", None)
    return () if told is None else tuple(told())
