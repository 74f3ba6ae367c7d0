import numpy as np
import pandas as pd
import pytest

from data.errors import LabError
from data.store import open_store
from data.traces import TraceWriter
from engine.analysis.shuffling import Effect, UnpairedEffect, paired_effect, unpaired_effect
from engine.comparing import FULL, OWN, compared, covariates, trend


def ends(a: dict[int, float], b: dict[int, float]) -> pd.DataFrame:
    rows = [("A", seed, 100 + seed, value) for seed, value in a.items()]
    rows += [("B", seed, 200 + seed, value) for seed, value in b.items()]
    return pd.DataFrame(rows, columns=["arm", "seed", "run", "value"]).assign(metric="risk")


def test_shared_seeds_are_paired_and_the_others_are_counted() -> None:
    found = compared(
        ends({0: 1.0, 1: 2.0, 2: 3.0, 5: 1.0}, {1: 4.0, 2: 4.0, 7: np.nan, 0: -1.0}), "A", "B", "risk"
    )
    expected = paired_effect(np.array([2.0, 3.0]), np.array([4.0, 4.0]))
    assert isinstance(found.effect, Effect)
    assert found.effect.estimate == expected.estimate
    assert (found.left_out, found.medians) == (3, (2.5, 4.0))


def test_arms_without_a_shared_seed_are_groups_balanced_on_their_covariates() -> None:
    rng = np.random.default_rng(0)
    a, b = dict(enumerate(rng.lognormal(size=5))), {9 + k: v for k, v in enumerate(rng.lognormal(size=5))}
    known = pd.DataFrame({"l2": rng.normal(size=10)}, index=[*(100 + s for s in a), *(200 + s for s in b)])
    shuffled = known.sample(frac=1, random_state=1)
    found = compared(ends(a, b), "A", "B", "risk", covariates=shuffled, acceptance=0.9)
    left, right = np.array(list(a.values())), np.array(list(b.values()))
    expected = unpaired_effect(left, right, 0, "log ratio", known.to_numpy(), 0.9)
    assert found.effect == expected
    assert isinstance(found.effect, UnpairedEffect)
    assert found.effect.accepted < found.effect.draws


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(LabError, match="a positive risk"):
        compared(ends({0: 1.0}, {0: -1.0}), "A", "B", "risk")
    with pytest.raises(LabError, match="a finite risk"):
        compared(ends({0: np.nan}, {0: 1.0}), "A", "B", "risk", "difference")


def test_covariates_are_what_was_measured_before_the_first_step_and_trends_know_their_seeds(tmp_path) -> None:
    store = open_store(tmp_path / "lab", create=True)
    store.catalog.save_study("s", "S", "A claim.", {}, "engine")
    job = store.catalog.create_job("train", "s", {}).id
    runs = store.catalog.start_runs(job, "s", [("A", 3, {}), ("A", 8, {})], 40, "cpu")
    with TraceWriter(store, job, [OWN, FULL, "l2"]) as writer:
        for at, run in enumerate(runs):
            steps = np.arange(0, 41, 2)
            risk = np.full(len(steps), 1.0)
            norms = np.ma.masked_equal(np.where(steps == 0, at + 5.0, 0.0), 0.0)
            writer.write(
                np.full(len(steps), run),
                steps,
                steps / 4,
                steps * 0.1,
                {OWN: risk, FULL: risk * 2, "l2": norms},
            )
    assert trend(store, "s", "A") is None  # no run has ended
    store.catalog.update_runs([{"id": run, "status": "done"} for run in runs])
    found = trend(store, "s", "A")
    assert found is not None
    assert found.seeds == (3, 8)
    assert found.divergence.n == 2
    assert covariates(store, "s", ["l2"])["l2"].to_dict() == {runs[0]: 5.0, runs[1]: 6.0}
    with pytest.raises(LabError, match=r"no metric|has no|not measured"):
        covariates(store, "s", ["nope"])
    store.close()
