import itertools

import numpy as np
import pytest

from engine.analysis.shuffling import unpaired, unpaired_effect


def assignments(n: int, n_a: int) -> list[np.ndarray]:
    return [np.isin(np.arange(n), chosen) for chosen in itertools.combinations(range(n), n_a)]


def difference(values: np.ndarray, in_a: np.ndarray) -> float:
    return float(values[in_a].mean() - values[~in_a].mean())


def balance(covariates: np.ndarray, in_a: np.ndarray) -> float:
    d = covariates[in_a].mean(axis=0) - covariates[~in_a].mean(axis=0)
    n_a, n_b = int(in_a.sum()), int((~in_a).sum())
    inverse = np.linalg.inv(np.cov(covariates.T, ddof=1).reshape(len(d), len(d)))
    return float(n_a * n_b / (n_a + n_b) * d @ inverse @ d)


def p_and_tails(a: np.ndarray, b: np.ndarray, shift: float, kept: list[np.ndarray]) -> tuple[float, ...]:
    values = np.concatenate([a - shift, b])
    observed = difference(values, kept[0])
    found = np.array([difference(values, one) for one in kept])
    return (
        float(np.mean(np.abs(found) >= abs(observed) - 1e-12)),
        float(np.mean(found >= observed - 1e-12)),
        float(np.mean(found <= observed + 1e-12)),
    )


def test_p_and_interval_are_those_of_every_assignment() -> None:
    for seed, (n_a, n_b) in enumerate([(4, 4), (5, 3), (3, 6)]):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(1, 1, n_a), rng.normal(0, 1, n_b)
        found = unpaired_effect(a, b, statistic="difference")
        every = assignments(n_a + n_b, n_a)
        assert found.exact
        assert found.p == pytest.approx(p_and_tails(a, b, 0.0, every)[0])
        shifts = np.linspace(-8, 8, 1601)
        inside = [shift for shift in shifts if min(p_and_tails(a, b, shift, every)[1:]) > 0.025]
        assert found.low == pytest.approx(min(inside), abs=0.011)
        assert found.high == pytest.approx(max(inside), abs=0.011)


def test_rerandomization_keeps_the_most_balanced() -> None:
    kept_some = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        covariates = rng.normal(size=(9, 2))
        values = covariates @ [1.0, -1.0] + 0.3 * rng.normal(size=9)
        every = assignments(9, 4)
        balances = np.array([balance(covariates, one) for one in every])
        threshold = np.sort(balances)[int(np.ceil(0.3 * (len(every) - 1)))]
        kept = [one for one, at in zip(every, balances, strict=True) if at <= threshold + 1e-12]
        call = (values[:4], values[4:], 0, "difference", covariates, 0.3)
        if balances[0] > threshold:
            with pytest.raises(ValueError, match="must keep the observed assignment"):
                unpaired_effect(*call)
            continue
        found = unpaired_effect(*call)
        assert found.accepted == len(kept)
        assert found.balance == pytest.approx(balances[0])
        assert found.p == pytest.approx(p_and_tails(values[:4], values[4:], 0.0, kept)[0])
        kept_some += 1
    assert kept_some >= 2


@pytest.mark.parametrize(("n", "least"), [(3, 0.1), (4, 2 / 70), (5, 2 / 252)])
def test_the_least_p(n: int, least: float) -> None:
    found = unpaired_effect(np.arange(2.0, 2 + n) + 100, np.arange(1.0, 1 + n))
    assert found.p == found.minimum_p == pytest.approx(least)


def test_a_log_ratio_is_a_difference_of_logarithms() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.lognormal(1, 1, 5), rng.lognormal(0, 1, 5)
    ratio, logs = unpaired_effect(a, b), unpaired_effect(np.log(a), np.log(b), statistic="difference")
    assert (ratio.estimate, ratio.p, ratio.low) == (logs.estimate, logs.p, logs.low)


def test_many_runs_are_assigned_at_random_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.8, 1, 9), rng.normal(0, 1, 9)
    exact = unpaired_effect(a, b, statistic="difference")
    monkeypatch.setattr(unpaired, "ALL_UP_TO", 100)
    drawn = unpaired_effect(a, b, statistic="difference")
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.p == pytest.approx(exact.p, abs=4 * (exact.p * (1 - exact.p) / 1e5) ** 0.5)
    assert drawn.low == pytest.approx(exact.low, abs=0.05)
    assert drawn.p >= 1 / (1 + unpaired.DRAWS)


def test_too_few_runs_bound_nothing() -> None:
    found = unpaired_effect(np.array([5.0, 6.0]), np.array([1.0, 2.0]))
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_refuses_what_it_cannot_compare() -> None:
    ones = np.ones(3)
    for a, b, settings, told in (
        (ones, np.ones(0), {}, "at least one run"),
        (ones, np.array([1.0, -1.0]), {}, "finite and positive"),
        (ones, np.array([np.nan]), {"statistic": "difference"}, "must be finite"),
        (ones, ones, {"acceptance": 0.0}, "`acceptance`"),
        (ones, ones, {"covariates": np.ones((2, 1))}, "each of the 6 runs"),
    ):
        with pytest.raises(ValueError, match=told):
            unpaired_effect(a, b, **settings)
