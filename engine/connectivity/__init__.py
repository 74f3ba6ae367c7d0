"""Mode connectivity: the permutations of units between two networks, and what lies on the way."""

from engine.connectivity.cycles import CycleConsistency, between, cycle_consistency
from engine.connectivity.invariance import check_invariance
from engine.connectivity.many import ManyMatching, match_many
from engine.connectivity.matching import Matching, Null, match
from engine.connectivity.permutations import (
    Permutations,
    compose,
    identity,
    inverse,
    permute,
    random_permutations,
)
from engine.connectivity.symmetry import Axis, Factor, Symmetry, symmetry

__all__ = [
    "Axis",
    "CycleConsistency",
    "Factor",
    "ManyMatching",
    "Matching",
    "Null",
    "Permutations",
    "Symmetry",
    "between",
    "check_invariance",
    "compose",
    "cycle_consistency",
    "identity",
    "inverse",
    "match",
    "match_many",
    "permute",
    "random_permutations",
    "symmetry",
]
