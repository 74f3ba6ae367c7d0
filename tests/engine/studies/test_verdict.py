import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import LabError
from data.store import open_store
from engine.cli.main import main
from engine.studies import Evidence, studies, study, verdict
from engine.studies._verdict import Detail, compare, conclude
from tests.engine.studies.synthetic import record

STEPS = np.arange(20) * 64
DEMO = study("digits-shuffling")


def noisy(level, seed, spread=0.05, n=20):
    return level * np.random.default_rng(seed).lognormal(0, spread, n)


def shuffled(tmp_path, levels, seeds=8, spread=0.05, **extra):
    """Record risks at the levels [own, full] of each arm."""
    curves = {
        (arm, seed): {
            name: np.full(20, noisy(level, [seed, place, sum(map(ord, arm))], spread, 1)[0])
            for place, (name, level) in enumerate(
                zip(("own_batch_risk", "full_batch_risk"), pair, strict=True)
            )
        }
        for arm, pair in levels.items()
        for seed in range(seeds)
    }
    return record(tmp_path / "lab", DEMO, curves, STEPS, **extra)


REVERSAL = {"SS": (0.01, 0.4), "RR": (0.1, 0.1), "SS no BN": (0.2, 0.2), "RR no BN": (0.2, 0.2)}


class TestCompare:
    one = np.ones(8)

    @pytest.mark.parametrize(
        ("expected", "values", "kind"),
        [
            ("below", 0.5, "holds"),
            ("below", 2.0, "does not hold"),
            ("below", 0.95, "does not hold"),  # lower, but by less than counts
            ("above", 2.0, "holds"),
            ("above", 0.5, "does not hold"),
            ("same", 1.02, "holds"),
            ("same", 2.0, "does not hold"),
            ("not above", 1.02, "holds"),
            ("not above", 0.2, "holds"),
            ("not above", 2.0, "does not hold"),
            ("not below", 0.99, "holds"),
            ("not below", 0.2, "does not hold"),
        ],
    )
    def test_a_clear_ratio_is_judged(self, expected, values, kind):
        found = compare("x", values * np.exp(np.linspace(-0.02, 0.02, 8)), self.one, expected)
        assert found.kind == kind
        assert found.effect == pytest.approx(values)
        assert found.low < found.effect < found.high

    @pytest.mark.parametrize("expected", ["below", "above", "same", "not below", "not above"])
    def test_noise_decides_nothing(self, expected):
        assert compare("x", np.exp(np.tile([0.9, -0.9], 4)), self.one, expected).kind == "undecided"

    @pytest.mark.parametrize("expected", ["below", "above", "same", "not below", "not above"])
    def test_too_few_seeds_decide_nothing_and_say_how_many_would(self, expected):
        found = compare("x", np.full(5, 0.1), np.ones(5), expected)
        assert (found.kind, found.n) == ("undecided", 5)
        assert "at least 6 seeds" in found.note

    def test_a_difference_keeps_its_units_and_its_sign(self):
        values = np.array([-3.0, -3.2, -2.8, -3.1, -2.9, -3.0])
        found = compare("slope", values, -1.0, "below", least=0.5, statistic="difference")
        assert (found.kind, found.n) == ("holds", 6)
        assert found.effect == pytest.approx(-3.0)
        apart = compare("slope", values, np.full(6, -1.0), "below", least=0.5, statistic="difference")
        assert (apart.effect, apart.low) == pytest.approx((-2.0, found.low + 1))
        assert (
            compare("slope", values, -1.0, "below", least=5.0, statistic="difference").kind == "does not hold"
        )

    def test_seeds_without_a_run_are_no_pairs_and_unusable_ones_are_said(self):
        a = np.array([0.5, np.nan, 0.5, np.inf, 0.5, 0.5, 0.5, 0.5])
        found = compare("x", a, self.one, "below")
        assert (found.kind, found.n) == ("holds", 6)
        assert "1 with a value that is not finite" in found.note

    def test_nothing_at_all_is_undecided(self):
        found = compare("x", np.full(3, np.nan), 1.0, "below")
        assert (found.kind, found.n, found.effect) == ("undecided", 0, None)
        assert "No finished seed" in found.note


class TestConclude:
    def parts(self, *kinds):
        return [Detail(f"part {place}", kind, float(place), 0.0, 9.0, 8) for place, kind in enumerate(kinds)]

    @pytest.mark.parametrize(
        ("kinds", "kind", "decides"),
        [
            (("holds", "holds"), "holds", 0),
            (("holds", "undecided"), "undecided", 1),
            (("undecided", "does not hold", "holds"), "does not hold", 1),
        ],
    )
    def test_every_part_must_hold(self, kinds, kind, decides):
        found = conclude(self.parts(*kinds), notes=["3 runs diverged."])
        assert (found.kind, found.effect, len(found.details)) == (kind, decides, len(kinds))
        assert f"part {decides}: {decides} [0, 9]" in found.sentence
        assert found.sentence.endswith("3 runs diverged.")

    def test_what_several_comparisons_lack_is_said_once(self):
        short, left_out = "4 pairs cannot reach p = 0.05; train at least 6 seeds.", "Left out: 1 that is NaN."
        parts = [
            Detail("a", "undecided", 1.0, n=4, note=short),
            Detail("b", "undecided", 1.0, n=4, note=f"{short} {left_out}"),
        ]
        assert conclude(parts).sentence == f"a: 1; b: 1 (n = 4). {short} {left_out}"
        assert conclude(parts, sentence=f"Control: {short}").sentence == f"Control: {short} {left_out}"

    def test_a_claim_without_parts_is_a_mistake(self):
        with pytest.raises(ValueError, match="`details`"):
            conclude([])


class TestReversal:
    def test_a_reversal_with_its_control_holds(self, tmp_path):
        found = verdict("digits-shuffling")(shuffled(tmp_path, REVERSAL))
        assert found.kind == "holds"
        assert "Sign reversal: SS ends lower than RR on the risk of its own batches" in found.sentence
        assert "Control: SS no BN and RR no BN end within 10 %" in found.sentence
        assert (found.n, len(found.details)) == (8, 4)
        assert found.effect == pytest.approx(0.1, rel=0.1)

    @pytest.mark.parametrize(
        ("arm", "levels", "kind"),
        [
            ("SS", (0.01, 0.01), "does not hold"),  # lower on both risks
            ("SS", (0.4, 0.01), "does not hold"),  # reversed the other way round
            ("SS no BN", (0.5, 0.2), "does not hold"),  # the control differs
        ],
    )
    def test_no_reversal_does_not_hold(self, tmp_path, arm, levels, kind):
        assert verdict("digits-shuffling")(shuffled(tmp_path, REVERSAL | {arm: levels})).kind == kind

    def test_few_seeds_and_wide_controls_are_undecided(self, tmp_path):
        few = verdict("digits-shuffling")(shuffled(tmp_path / "few", REVERSAL, seeds=4))
        assert few.kind == "undecided"
        assert few.sentence.count("at least 6 seeds") == 1
        assert verdict("digits-shuffling")(shuffled(tmp_path, REVERSAL, spread=0.3)).kind == "undecided"

    def test_runs_that_diverged_or_go_on_are_counted_and_left_out(self, tmp_path):
        status = {("RR", 7): "diverged", ("SS", 0): "running"}
        found = verdict("digits-shuffling")(shuffled(tmp_path, REVERSAL, status=status))
        assert (found.kind, found.n) == ("holds", 6)
        assert "1 of 8 runs of RR diverged and are left out." in found.sentence
        assert "1 of 8 runs of SS are still in training." in found.sentence


class TestEvidence:
    def test_values_are_of_the_end_and_aligned_by_seed(self, tmp_path):
        curves = {("SS", 3): {"own_batch_risk": np.arange(20.0)}, ("RR", 1): {"own_batch_risk": np.zeros(20)}}
        runs = Evidence(record(tmp_path, DEMO, curves, STEPS), DEMO.name)
        assert runs.seeds == [1, 3]
        np.testing.assert_array_equal(runs.ends("own_batch_risk", "SS"), [np.nan, 18.5])
        np.testing.assert_array_equal(runs.ends("own_batch_risk", "SS", 1e-9), [np.nan, 19.0])
        assert np.isnan(runs.ends("full_batch_risk", "SS")).all()
        (curve,) = runs.curves("own_batch_risk", "SS")
        assert curve.seed == 3
        np.testing.assert_array_equal(curve.steps, STEPS)
        np.testing.assert_array_equal(curve.values, np.arange(20.0))
        assert runs.study == DEMO

    def test_a_changed_study_is_judged_on_its_own_runs(self, tmp_path):
        changed = dataclasses.replace(DEMO, name="digits-shuffling@lr=0.5", lr=0.5)
        store = record(tmp_path, changed, {("SS", 0): {"own_batch_risk": np.ones(20)}}, STEPS)
        assert verdict(changed.name)(store).kind == "undecided"
        with pytest.raises(LabError, match="no runs of `digits-shuffling`"):
            verdict("digits-shuffling")(store)

    def test_a_study_unknown_here_has_no_verdict(self):
        assert verdict("uploaded") is None


class TestCommand:
    def test_it_prints_the_verdict_and_every_number(self, tmp_path, capsys):
        shuffled(tmp_path, REVERSAL).close()
        where = ["--store", str(tmp_path / "lab")]
        assert main(["verdict", "digits-shuffling", *where]) == 0
        text = capsys.readouterr().out
        assert "Holds. Sign reversal" in text
        assert "full-batch risk, SS no BN / RR no BN" in text
        assert main(["verdict", "digits-shuffling", "--json", *where]) == 0
        data = json.loads(capsys.readouterr().out)
        assert (data["verdict"], data["n"], len(data["details"])) == ("holds", 8, 4)

    def test_a_claim_that_does_not_hold_is_no_error(self, tmp_path, capsys):
        shuffled(tmp_path, REVERSAL | {"SS": (0.1, 0.1)}).close()
        assert main(["verdict", "digits-shuffling", "--store", str(tmp_path / "lab")]) == 0
        assert "Does not hold" in capsys.readouterr().out

    def test_where_nothing_was_trained_it_says_so(self, tmp_path, capsys):
        open_store(tmp_path / "lab", create=True).close()
        for name in ("digits-shuffling", "nothing"):
            assert main(["verdict", name, "--store", str(tmp_path / "lab")]) == 1
        assert "python -m engine train digits-shuffling" in capsys.readouterr().err


def test_the_example_of_the_guide_is_a_study_that_is_judged(tmp_path, monkeypatch):
    guide = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)  # one of its examples saves a file
    example: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL):
        exec(block, example)
    definition = example["STUDY"]
    curves = {
        (arm.name, seed): {"test_loss": np.full(20, noisy(0.1 if arm.name == "Adam" else 0.3, seed, n=1)[0])}
        for arm in definition.arms
        for seed in range(8)
    }
    found = example["verdict"](Evidence(record(tmp_path, definition, curves, STEPS), definition.name))
    assert (found.kind, found.n) == ("holds", 8)


def test_every_study_of_the_lab_can_be_judged():
    assert [name for name in studies() if verdict(name) is None] == []
