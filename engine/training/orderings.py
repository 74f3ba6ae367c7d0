"""The orders in which examples are visited: functions of the seed and the epoch, but for balanced ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from data.errors import LabError
from engine.training.balancing import Rule

Order = Int[np.ndarray, " visited"]


def generator(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator of one seed's epoch, the same alone, among others, resumed, or on a GPU."""
    return np.random.default_rng((seed, epoch))


def single_shuffle(examples: int, seed: int, epoch: int) -> Order:
    """One permutation per seed, kept: the one that Random Reshuffle draws in the seed's first epoch."""
    return generator(seed, 0).permutation(examples)


def random_reshuffle(examples: int, seed: int, epoch: int) -> Order:
    """A new permutation every epoch."""
    return generator(seed, epoch).permutation(examples)


def incremental(examples: int, seed: int, epoch: int) -> Order:
    """The order of the data set, for every seed."""
    return np.arange(examples)


def with_replacement(examples: int, seed: int, epoch: int) -> Order:
    """As many indices as there are examples, drawn with replacement."""
    return generator(seed, epoch).integers(examples, size=examples)


def flip_flop(examples: int, seed: int, epoch: int) -> Order:
    """Random Reshuffle in even epochs; every odd epoch goes back over the one before."""
    order = random_reshuffle(examples, seed, epoch - epoch % 2)
    return order[::-1].copy() if epoch % 2 else order


def repeated_subset(examples: int, seed: int, epoch: int, fraction: float = 0.1) -> Order:
    """The next ``fraction`` of a permutation each round; its tail is joined to its head, then reshuffled.

    Raises:
        ValueError: a fraction outside (0, 1].

    Source:
        Okanovic et al. 2023, RS2 without replacement.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"`fraction` must be above 0 and at most 1; got {fraction}.")
    size = max(1, round(fraction * examples))
    rounds = -(-examples // size)
    shuffled = generator(seed, epoch // rounds).permutation(examples)
    return shuffled[(epoch % rounds * size + np.arange(size)) % examples]


def forked(examples: int, seed: int, epoch: int, fork: int = 0, children: int = 2) -> Order:
    """Random Reshuffle of the seed's family before epoch ``fork``, and of the seed itself from then on.

    The seeds of a family, ``children`` successive ones, are visited by one order up to the fork; with the
    same initial weights they are one run until then. With a fork at 0 it is Random Reshuffle.

    Raises:
        ValueError: a fork that is no whole number of epochs, or fewer than one child.

    Source:
        Frankle et al. 2020, algorithm 1.
    """
    for name, value, least in (("fork", fork, 0), ("children", children, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"`{name}` must be a whole number of at least {least}; got {value!r}.")
    return random_reshuffle(examples, seed // children if epoch < fork else seed, epoch)


@dataclass(frozen=True)
class Ordering:
    """An order by name.

    Attributes:
        title: the field's name for it.
        order: ``order(examples, seed, epoch, **settings)``, indices in the order visited.
        source: who defined it.
        balance: how gradients make the later epochs' orders, of which `order` gives only the first; None
            where the order is a function of seed and epoch alone.
    """

    title: str
    order: Callable[..., Order]
    source: str
    balance: Rule | None = None


ORDERINGS = {
    "SS": Ordering("Single Shuffle", single_shuffle, "Safran & Shamir 2020"),
    "RR": Ordering("Random Reshuffle", random_reshuffle, "Gurbuzbalaban et al. 2021"),
    "IGM": Ordering("Incremental gradient method", incremental, "Bertsekas 2011"),
    "WR": Ordering("With replacement", with_replacement, "Robbins & Monro 1951"),
    "FlipFlop": Ordering("FlipFlop", flip_flop, "Rajput, Lee & Papailiopoulos 2022"),
    "RS2": Ordering("Repeated sampling of random subsets", repeated_subset, "Okanovic et al. 2023"),
    "GraB": Ordering("Gradient balancing", single_shuffle, "Lu, Guo & De Sa 2022", "mean"),
    "PairBalance": Ordering("Pairwise gradient balancing", single_shuffle, "Cooper et al. 2023", "pair"),
    "Forked": Ordering("Random Reshuffle that forks", forked, "Frankle et al. 2020"),
}


def ordering(name: str) -> Ordering:
    """Return the ordering of that name.

    Raises:
        LabError: there is no such ordering; the message names those there are.
    """
    if name not in ORDERINGS:
        raise LabError(
            "Unknown ordering", f"There is no ordering `{name}`.", f"Choose one of: {', '.join(ORDERINGS)}."
        )
    return ORDERINGS[name]
