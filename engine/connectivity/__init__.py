"""Mode connectivity: the permutations of units between two networks, and what lies on the way."""

from engine.connectivity.barriers import Barriers, barriers
from engine.connectivity.curves import Curve, curve, curve_path
from engine.connectivity.cycles import CycleConsistency, between, cycle_consistency
from engine.connectivity.diagnostics import Diagnostics, diagnostics
from engine.connectivity.invariance import check_invariance
from engine.connectivity.many import ManyMatching, match_many
from engine.connectivity.matching import Matching, Null, match
from engine.connectivity.path import Path, interpolate, path
from engine.connectivity.permutations import (
    Permutations,
    compose,
    identity,
    inverse,
    permute,
    random_permutations,
)
from engine.connectivity.planes import Plane, plane
from engine.connectivity.pruning import prune
from engine.connectivity.renormalization import renormalize, renormalize_towards
from engine.connectivity.symmetry import Axis, Factor, Symmetry, symmetry

__all__ = [
    "Axis",
    "Barriers",
    "Curve",
    "CycleConsistency",
    "Diagnostics",
    "Factor",
    "ManyMatching",
    "Matching",
    "Null",
    "Path",
    "Permutations",
    "Plane",
    "Symmetry",
    "barriers",
    "between",
    "check_invariance",
    "compose",
    "curve",
    "curve_path",
    "cycle_consistency",
    "diagnostics",
    "identity",
    "interpolate",
    "inverse",
    "match",
    "match_many",
    "path",
    "permute",
    "plane",
    "prune",
    "random_permutations",
    "renormalize",
    "renormalize_towards",
    "symmetry",
]
