import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import LabError
from engine.training.orderings import ORDERINGS, ordering

SIZES = st.integers(1, 200)
SEEDS = st.integers(0, 2**31 - 1)
EPOCHS = st.integers(0, 50)


@given(SIZES, SEEDS, EPOCHS)
def test_single_shuffle_repeats_one_permutation(n, seed, epoch):
    order = ordering("SS").order(n, seed, epoch)
    assert sorted(order) == list(range(n))
    assert (order == ordering("SS").order(n, seed, 0)).all()


@given(SIZES, SEEDS, EPOCHS)
def test_random_reshuffle_is_a_permutation_of_its_own_each_epoch(n, seed, epoch):
    order = ordering("RR").order(n, seed, epoch)
    assert sorted(order) == list(range(n))
    if n >= 20:  # two of 20! permutations agree with probability 4e-19
        assert (order != ordering("RR").order(n, seed, epoch + 1)).any()


def test_random_reshuffle_is_uniform_and_independent_across_epochs():
    rr = ordering("RR").order
    seeds = range(6000)
    first = np.array([rr(4, seed, 3) for seed in seeds])
    second = np.array([rr(4, seed, 4) for seed in seeds])
    places = np.stack([(first == value).mean(0) for value in range(4)])
    assert np.abs(places - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / len(first))
    ids = first @ [64, 16, 4, 1]
    counts = np.unique(ids, return_counts=True)[1]
    assert len(counts) == 24
    assert ((counts - 250) ** 2 / 250).sum() < 60  # chi-square with 23 degrees of freedom: p = 4e-5
    agreement = (first == second).mean()
    assert abs(agreement - 0.25) < 5 * np.sqrt(0.25 * 0.75 / first.size)


@given(SIZES, SEEDS)
def test_single_shuffle_starts_as_random_reshuffle(n, seed):
    assert (ordering("SS").order(n, seed, 7) == ordering("RR").order(n, seed, 0)).all()


@given(SIZES, SEEDS, EPOCHS)
def test_incremental_keeps_the_order_of_the_data(n, seed, epoch):
    assert (ordering("IGM").order(n, seed, epoch) == np.arange(n)).all()


def test_with_replacement_draws_every_index_alike_and_repeats_some():
    draws = np.concatenate([ordering("WR").order(50, seed, 2) for seed in range(400)])
    counts = np.bincount(draws, minlength=50)
    assert ((counts - 400) ** 2 / 400).sum() < 110  # chi-square with 49 degrees of freedom: p = 1e-6
    assert len(np.unique(ordering("WR").order(50, 0, 0))) < 50


@given(SIZES, SEEDS, st.integers(0, 25))
def test_flip_flop_goes_back_every_second_epoch(n, seed, pair):
    forth = ordering("FlipFlop").order(n, seed, 2 * pair)
    back = ordering("FlipFlop").order(n, seed, 2 * pair + 1)
    assert sorted(forth) == list(range(n))
    assert (back == forth[::-1]).all()


@given(SIZES, SEEDS, st.floats(0.01, 1.0), st.integers(0, 5))
def test_repeated_subset_covers_everything_before_it_reshuffles(n, seed, fraction, cycle):
    size = max(1, round(fraction * n))
    rounds = -(-n // size)
    orders = [
        ordering("RS2").order(n, seed, cycle * rounds + turn, fraction=fraction) for turn in range(rounds)
    ]
    assert all(len(set(order)) == len(order) == size for order in orders)
    visited = np.concatenate(orders)
    assert sorted(visited[:n]) == list(range(n))


def test_a_subset_is_a_share_of_the_data():
    for fraction in (0.0, -0.1, 1.01):
        with pytest.raises(ValueError, match=rf"`fraction` must be above 0 and at most 1; got {fraction}"):
            ordering("RS2").order(50, 0, 0, fraction=fraction)


def test_subsets_are_uniform_and_reshuffled_after_each_cycle():
    first = np.array([ordering("RS2").order(6, seed, 3, fraction=0.5) for seed in range(3000)])
    counts = np.bincount(first.ravel(), minlength=6)
    # Of draws without replacement within a round: the variance of a count is n p (1 - p).
    assert ((counts - 1500) ** 2 / 750).sum() < 35  # chi-square with 5 degrees of freedom: p = 1.5e-6
    fourth = np.array([ordering("RS2").order(6, seed, 1, fraction=0.5) for seed in range(3000)])
    shared = np.array([len(set(a) & set(b)) for a, b in zip(first, fourth, strict=True)]).mean()
    # Rounds 1 and 3 are of different cycles: 3 of 6 and 3 of 6 share 1.5 on average, variance 0.45.
    assert abs(shared - 1.5) < 5 * np.sqrt(0.45 / 3000)


@given(SIZES, SEEDS, EPOCHS, st.integers(0, 50), st.integers(1, 8))
def test_a_fork_is_of_the_family_before_it_and_of_the_seed_after(n, seed, epoch, fork, children):
    order = ordering("Forked").order(n, seed, epoch, fork=fork, children=children)
    whose = seed // children if epoch < fork else seed
    assert (order == ordering("RR").order(n, whose, epoch)).all()
    sibling = seed - seed % children + (seed + 1) % children
    other = ordering("Forked").order(n, sibling, epoch, fork=fork, children=children)
    if epoch < fork or children == 1:
        assert (order == other).all()
    elif n >= 20:
        assert (order != other).any()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fork": -1}, "`fork` must be a whole number of at least 0; got -1"),
        ({"children": 0}, "`children` must be a whole number of at least 1; got 0"),
    ],
)
def test_a_fork_is_after_whole_epochs_and_has_children(settings, words):
    with pytest.raises(ValueError, match=words):
        ordering("Forked").order(50, 0, 0, **settings)
    with pytest.raises((ValueError, TypeError), match="fork"):  # the tests check types before it can
        ordering("Forked").order(50, 0, 0, fork=1.5)


@pytest.mark.parametrize("name", ["GraB", "PairBalance"])
def test_balanced_orders_begin_as_random_reshuffle(name):
    assert (ordering(name).order(40, 6, 0) == ordering("RR").order(40, 6, 0)).all()
    assert {one for one, order in ORDERINGS.items() if order.balance} == {"GraB", "PairBalance"}


def test_seeds_have_orders_of_their_own():
    orders = {tuple(ordering("RR").order(30, seed, epoch)) for seed in range(50) for epoch in range(20)}
    assert len(orders) == 1000


@pytest.mark.parametrize("name", sorted(ORDERINGS))
def test_an_order_depends_on_the_seed_and_the_epoch_alone(name):
    before = ordering(name).order(64, 5, 3)
    np.random.default_rng(1).random(10)
    ordering(name).order(64, 9, 3)
    assert (ordering(name).order(64, 5, 3) == before).all()


def test_an_unknown_ordering_names_those_there_are():
    with pytest.raises(LabError, match=r"XX") as error:
        ordering("XX")
    assert "SS, RR, IGM, WR, FlipFlop, RS2, GraB, PairBalance, Forked" in error.value.remedy
