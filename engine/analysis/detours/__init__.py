"""Detours: optional states whose visitors converge later, and the ways runs take."""

from engine.analysis.detours.convergence import Direction, converged_at
from engine.analysis.detours.finding import find
from engine.analysis.detours.routes import Dwell, Occupancy, Route, dwells, occupancy, routes
from engine.analysis.detours.verdict import Detour

__all__ = [
    "Detour",
    "Direction",
    "Dwell",
    "Occupancy",
    "Route",
    "converged_at",
    "dwells",
    "find",
    "occupancy",
    "routes",
]
