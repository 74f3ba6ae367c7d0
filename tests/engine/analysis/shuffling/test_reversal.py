import math

import numpy as np
import pytest

from engine.analysis.shuffling import paired_effect, read


def effect(ratio, spread=0.02, n=16):
    rng = np.random.default_rng(int(ratio * 1000))
    b = rng.lognormal(-4, 0.2, n)
    return paired_effect(b * ratio * np.exp(rng.normal(0, spread, n)), b)


@pytest.mark.parametrize(
    ("own", "full", "kind"),
    [
        (0.07, 3.7, "reversal"),
        (3.7, 0.07, "reversal"),
        (0.5, 0.6, "one direction"),
        (0.5, 1.0, "mixed"),
        (1.0, 1.02, "same"),
        (1.05, 0.96, "same"),  # opposite signs, both significant, but too small to count
    ],
)
def test_the_kind_follows_the_numbers(own, full, kind):
    verdict = read("A", "B", effect(own), effect(full))
    assert verdict.kind == kind
    assert ("Sign reversal" in verdict.sentence) == (kind == "reversal")


def test_one_risk_alone_must_reach_half_the_level():
    b = np.full(10, 0.01)
    signs = np.array([-1, -1, 1, 1, -1, 1, 1, 1, 1, 1])
    between = paired_effect(b * np.exp(signs * np.arange(1, 11)), b)
    nothing = paired_effect(b * np.exp(np.tile([0.6, -0.6], 5)), b)
    assert 0.025 < between.p <= 0.05
    assert read("A", "B", between, nothing).kind == "none"
    assert read("A", "B", nothing, between).kind == "none"
    assert read("A", "B", between, between).kind == "one direction"
    assert read("A", "B", effect(0.5), nothing).kind == "mixed"


@pytest.mark.parametrize(("seeds", "related"), [(6, 0.0), (16, 0.0), (16, 0.8), (12, 0.8)])
def test_of_200_studies_without_a_difference_at_most_one_in_twenty_is_given_one(seeds, related):
    given = 0
    for study in range(200):
        rng = np.random.default_rng([seeds, study])
        level = rng.normal(0, 0.5, (2, seeds))  # of a seed, the same in both arms
        own, noise = rng.normal(0, 0.3, (2, 2, seeds))
        full = related * own + math.sqrt(1 - related**2) * noise
        risks = [np.exp(level[k] + part) for k, part in enumerate((own, full))]
        verdict = read("A", "B", *(paired_effect(*risk) for risk in risks))
        given += verdict.kind not in ("none", "same")
    assert given <= 14  # two standard errors above 5 % of 200


def test_noise_is_neither_a_difference_nor_sameness():
    b = np.full(16, 0.01)
    noise = paired_effect(b * np.exp(np.tile([0.6, -0.6], 8)), b)
    assert read("A", "B", noise, noise).kind == "none"


def test_too_few_pairs_give_no_verdict_however_large_the_effect():
    verdict = read("A", "B", effect(0.01, n=5), effect(9.0, n=5))
    assert verdict.kind == "unknown"
    assert "at least 6 seeds" in verdict.sentence
    assert read("A", "B", None, None).kind == "unknown"


def test_the_direction_is_named_right():
    told = read("SS", "RR", effect(0.07), effect(3.7)).sentence
    assert told.startswith("Sign reversal: SS ends lower than RR on the risk of its own batches")
    swapped = read("RR", "SS", effect(1 / 0.07), effect(1 / 3.7)).sentence
    assert swapped.startswith("Sign reversal: SS ends lower than RR on the risk of its own batches")
    one = read("SS", "RR", effect(1.0), effect(3.7)).sentence
    assert one.startswith("RR ends lower than SS on full-batch risk")
