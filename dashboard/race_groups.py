"""Which arms of a study race: those of one ordering and one model are one entrant, whatever their budgets."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

FOLLOWS_BUDGET = frozenset({"epochs", "lr", "evaluate_every", "cadence", "warmup_steps"})
"""Settings that may change with the number of epochs and still be of the same way to train."""


@dataclass(frozen=True)
class Entrant:
    """Trainings of one ordering that differ at most in how long they were planned to be.

    Attributes:
        label: what the figure calls it.
        ordering: a name of ``engine.training.orderings``.
        settings: of the ordering, as text.
        arms: its arms by their number of epochs, which increases.
    """

    label: str
    ordering: str
    settings: str
    arms: Mapping[int, str]


def entrants(config: Mapping[str, Any]) -> list[Entrant]:
    """Return who races in a study, in the study's order.

    Arms are together only if ordering, its settings, model and training agree, but for what goes with the
    number of epochs: two different models are never one line.

    Args:
        config: the study's, as the catalogue keeps it; of imported logs it names no arms, and nobody races.
    """
    together: dict[str, list[Mapping[str, Any]]] = {}
    for arm in config.get("arms", []):
        training = {
            name: value for name, value in (arm.get("training") or {}).items() if name not in FOLLOWS_BUDGET
        }
        same = [arm["ordering"], arm.get("ordering_settings") or {}, arm.get("model") or {}, training]
        together.setdefault(json.dumps(same, sort_keys=True, default=str), []).append(arm)
    found: list[Entrant] = []
    for arms in together.values():
        budgets = [_epochs(arm, config) for arm in arms]
        # Twice the same budget: a study of step sizes, say, whose arms are entrants of their own.
        alone = len(set(budgets)) < len(arms)
        for group in [[arm] for arm in arms] if alone else [arms]:
            by_budget = {_epochs(arm, config): str(arm["name"]) for arm in group}
            sorted_arms = dict(sorted(by_budget.items()))
            settings = json.dumps(group[0].get("ordering_settings") or {}, sort_keys=True, default=str)
            found.append(Entrant(_label(sorted_arms), str(group[0]["ordering"]), settings, sorted_arms))
    if len({one.label for one in found}) < len(found):
        return [replace(one, label=next(iter(one.arms.values()))) for one in found]
    return found


def _epochs(arm: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    return int((arm.get("training") or {}).get("epochs", config.get("epochs", 1)))


def _label(arms: Mapping[int, str]) -> str:
    """Return the arm's name, or what the names of several say besides their number of epochs."""
    if len(arms) == 1:
        return next(iter(arms.values()))
    rests = {
        re.sub(rf"[\s,;:·]*\b(?:K|epochs?)?\s*=?\s*{epochs}\b(?:\s*epochs?)?", "", name).strip()
        for epochs, name in arms.items()
    }
    return rests.pop() if len(rests) == 1 and "" not in rests else next(iter(arms.values()))
