"""Detours: optional states whose visitors converge later, and the ways runs take."""

from engine.analysis.detours.convergence import Direction, converged_at
from engine.analysis.detours.finding import find
from engine.analysis.detours.routes import Dwell, Occupancy, Route, dwells, occupancy, routes
from engine.analysis.detours.stability import stability
from engine.analysis.detours.verdict import Detour
from engine.analysis.refits import Refits, refits_of

__all__ = [
    "Detour",
    "Direction",
    "Dwell",
    "Occupancy",
    "Refits",
    "Route",
    "converged_at",
    "dwells",
    "find",
    "occupancy",
    "refits_of",
    "routes",
    "stability",
]
