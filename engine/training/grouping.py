"""Which replicas train in one stack."""

import dataclasses
import itertools
import json
from collections.abc import Sequence

from engine.studies import Study
from engine.training.record import Replica
from engine.training.stack import visited


def groups(study: Study, replicas: Sequence[Replica], at_once: int | None = None) -> list[dict[int, Replica]]:
    """Return the replicas of each stack by their index; the same for the same arguments.

    Arms that differ in nothing but their name and ordering share a stack, if an epoch of theirs has the same
    batches; a stack of more than `at_once` is split evenly, but no family of seeds that share initial weights
    is split where a stack can hold one.
    """
    together: dict[str, list[int]] = {}
    keys: dict[str, str] = {}
    for index, replica in enumerate(replicas):
        if replica.arm not in keys:
            alone = study.of(replica.arm)
            arm = dataclasses.replace(alone.arms[0], name="", ordering="", ordering_settings={})
            same = dataclasses.replace(alone, arms=(arm,))
            config = json.dumps(same.config(), sort_keys=True, default=str)
            keys[replica.arm] = f"{visited(study, study.arm(replica.arm))} {config}"
        together.setdefault(keys[replica.arm], []).append(index)
    parts = []
    for indices in together.values():
        room = at_once or len(indices) * study.children
        children = study.children if study.children <= room else 1
        families = _families([replicas[index] for index in indices], children)
        count = -(-len(families) // (room // children))
        bounds = [len(families) * part // count for part in range(count + 1)]
        starts = [*itertools.accumulate(families, initial=0)]
        parts += [indices[starts[start] : starts[end]] for start, end in itertools.pairwise(bounds)]
    return [{index: replicas[index] for index in part} for part in parts]


def _families(replicas: Sequence[Replica], children: int) -> list[int]:
    """Return how many neighbours are of one arm and family, one family after the other."""
    keys = [(replica.arm, replica.seed // children) for replica in replicas]
    return [len(list(same)) for _, same in itertools.groupby(keys)]
