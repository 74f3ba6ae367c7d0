"""Every study's verdict on made-up runs whose answer is known, in both directions."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch

from data import checkpoints
from engine.models import build
from engine.studies import study, verdict
from engine.studies._evidence import Curve
from engine.studies.mlp_modes import barrier
from engine.studies.mlp_modes import test_loss as loss_of
from engine.studies.orderings_quadratic import EPOCHS, EXAMPLES, ORDERINGS
from engine.studies.rnn_abrupt import steepest
from tests.engine.studies.synthetic import record

STEPS = np.arange(41) * 25
END = np.ones(41)
Curves = dict[str, np.ndarray]


def jitter(*of):
    """Return a factor near 1 that depends on nothing but its arguments."""
    return np.random.default_rng([sum(map(ord, str(one))) for one in of]).lognormal(0, 0.05)


def levels(of):
    """Return curves that stand at a level: of(arm) gives each metric's."""
    return lambda arm, seed: {name: END * value * jitter(arm, name, seed) for name, value in of(arm).items()}


def passing(**at):
    """Return accuracies that pass 0.95 at the given steps (None: never)."""

    def curves(arm, seed) -> Curves:
        late = 1 + 0.2 * (jitter(seed) - 1)
        return {
            name: np.where((np.inf if step is None else step * late) <= STEPS, 1.0, 0.3)
            for name, step in at.items()
        }

    return curves


def scattered(**widths):
    """Return test accuracies that pass 0.95 at steps whose logarithm has the arm's standard deviation."""

    def curves(arm, seed) -> Curves:
        step = 300 * np.exp(widths[arm] * np.random.default_rng([seed, len(arm)]).uniform(-1.7, 1.7))
        return {"test_accuracy": np.where(step <= STEPS, 1.0, 0.3)}

    return curves


def rates(igm_varies=False, **slopes):
    def curves(arm, seed) -> Curves:
        name, _, epochs = arm.rpartition(" K=")
        x = np.log(int(epochs) / np.log(EXAMPLES * int(epochs)))
        return {
            "excess_risk": END
            * np.exp(slopes.get(name, -2.0) * x)
            * jitter(arm, seed * (name != "IGM" or igm_varies))
        }

    return curves


def risks(own, full, control=(0.2, 0.2)):
    def of(arm):
        pair = (
            (own, full)
            if arm == "SS"
            else (0.1, 0.1)
            if arm == "RR"
            else control
            if arm[0] == "S"
            else (0.2, 0.2)
        )
        return {"own_batch_risk": pair[0], "full_batch_risk": pair[1]}

    return lambda arm, seed: {
        name: END * value * (1 + 0.2 * (jitter(arm, name, seed) - 1)) for name, value in of(arm).items()
    }


def growing(ss, rr, share=1.0):
    """Return full-batch risks with a slope in ln(step): SS has it in a share of the seeds, RR in all."""

    def curves(arm, seed) -> Curves:
        slope = rr if arm == "RR" else ss if seed % 10 < 10 * share else 0.0
        noise = np.random.default_rng([seed, len(arm)]).normal(0, 0.0005, len(STEPS))
        return {
            "full_batch_risk": (0.3 if arm == "RR" else 0.9)
            + slope * np.log(STEPS + 1) * jitter(seed)
            + noise
        }

    return curves


def abrupt(sharp, delay):
    """Return losses that fall from a plateau at once, or along a straight line of the log."""

    def curves(arm, seed) -> Curves:
        at = (12 + seed % 3) * (delay if arm == "consistent" else 1.0)
        t = np.arange(41)
        log = np.where(t > at, -4.0, 0.0) if sharp else -4.0 * t / 40
        return {"full_batch_risk": 0.1 * np.exp(log)}

    return curves


WU = {"SS": (0.001, 0.2), "RR": (0.3, 0.015)}
GOOD_RATES = {"WR": -1.0, "RR": -3.0, "FlipFlop-RR": -4.5}


def distances(pairs):
    return levels(
        lambda arm: dict(
            zip(("distance_to_own_optimum", "distance_to_reshuffled_optimum"), pairs[arm], strict=True)
        )
    )


def accuracies(rounds, steps):
    def curves(arm, seed) -> Curves:
        drop = {"full data": 0.0, "RS2 10 %, same rounds": rounds, "RS2 10 %, same steps": steps}[arm]
        return {"test_accuracy": END * (0.98 - drop + 0.002 * (jitter(arm, seed) - 1))}

    return curves


def redo(dormant, cost):
    def curves(arm, seed) -> Curves:
        recycled = arm == "ReDo"
        return {
            "dormant_fraction": END * (dormant if recycled else 0.3) * jitter(arm, seed),
            "test_accuracy": END * (0.97 - cost * recycled + 0.002 * (jitter(seed, arm) - 1)),
        }

    return curves


CASES: list[tuple[str, str, int, Callable[[str, int], Curves]]] = [
    ("digits-shuffling", "holds", 8, risks(0.01, 0.4)),
    ("mnist-shuffling", "holds", 8, risks(0.01, 0.4)),
    ("mnist-shuffling", "does not hold", 8, risks(0.01, 0.05)),
    ("mnist-shuffling", "does not hold", 8, risks(0.01, 0.4, (0.1, 0.3))),
    ("digits-shuffling", "does not hold", 8, risks(0.01, 0.4, (0.3, 0.3))),
    ("mnist-shuffling", "holds", 8, risks(0.01, 0.4, (0.3, 0.3))),
    ("wu-regression", "holds", 8, distances(WU)),
    ("wu-regression", "does not hold", 8, distances(WU | {"SS": (0.01, 0.2)})),
    ("wu-regression", "does not hold", 8, distances(WU | {"RR": (0.015, 0.015)})),
    ("wu-six-points", "holds", 40, growing(0.2, 0.0, 0.8)),
    ("wu-six-points", "does not hold", 40, growing(0.0, 0.0)),
    ("wu-six-points", "does not hold", 40, growing(0.2, 0.2, 0.8)),
    ("wu-six-points", "undecided", 12, growing(0.2, 0.0, 0.7)),
    ("wu-gaussian-teacher", "holds", 8, growing(0.2, 0.0)),
    ("wu-gaussian-teacher", "does not hold", 8, growing(0.2, 0.2)),
    ("modular-addition", "holds", 8, passing(train_accuracy=100, test_accuracy=500)),
    ("modular-addition", "does not hold", 8, passing(train_accuracy=400, test_accuracy=500)),
    ("modular-addition", "does not hold", 8, passing(train_accuracy=100, test_accuracy=None)),
    ("modular-addition-norms", "holds", 40, scattered(none=0.6, LN=0.1)),
    ("modular-addition-norms", "does not hold", 40, scattered(none=0.1, LN=0.6)),
    ("sparse-parity", "holds", 8, passing(train_accuracy=100, test_accuracy=900)),
    ("mnist-latent", "holds", 40, passing(test_accuracy=500)),
    ("mnist-latent", "does not hold", 40, passing(test_accuracy=None)),
    ("mnist-latent", "undecided", 12, passing(test_accuracy=500)),
    ("orderings-quadratic", "holds", 8, rates(**GOOD_RATES)),
    ("orderings-quadratic", "does not hold", 8, rates(**GOOD_RATES | {"RR": -2.0})),
    ("orderings-quadratic", "does not hold", 8, rates(**GOOD_RATES | {"SS": -3.0})),
    ("orderings-quadratic", "does not hold", 8, rates(**GOOD_RATES | {"IGM": -3.0})),
    ("orderings-quadratic", "undecided", 8, rates(igm_varies=True, **GOOD_RATES)),
    ("rs2-digits", "holds", 8, accuracies(0.003, 0.0)),
    ("rs2-digits", "does not hold", 8, accuracies(0.05, 0.0)),
    ("dormant-redo", "holds", 8, redo(0.05, 0.0)),
    ("dormant-redo", "does not hold", 8, redo(0.25, 0.0)),
    ("dormant-redo", "does not hold", 8, redo(0.05, 0.04)),
    ("rnn-abrupt", "holds", 8, abrupt(True, 0.6)),
    ("rnn-abrupt", "does not hold", 8, abrupt(False, 0.6)),
    ("rnn-abrupt", "does not hold", 8, abrupt(True, 1.5)),
]


def judged(root, name, seeds, curves):
    definition = study(name)
    runs = {(arm.name, seed): curves(arm.name, seed) for arm in definition.arms for seed in range(seeds)}
    store = record(root, definition, runs, STEPS)
    judge = verdict(name)
    assert judge is not None
    return judge(store)


@pytest.mark.parametrize(("name", "kind", "seeds", "curves"), CASES)
def test_the_verdict_is_the_one_that_was_built_in(tmp_path, name, kind, seeds, curves):
    found = judged(tmp_path, name, seeds, curves)
    assert found.kind == kind, found
    assert found.sentence
    assert max(part.n for part in found.details) == seeds
    assert all(part.kind == "holds" for part in found.details) == (kind == "holds")


@pytest.mark.parametrize(
    ("name", "curves"), [(name, curves) for name, kind, _, curves in CASES if kind == "holds"]
)
def test_a_few_seeds_never_decide(tmp_path, name, curves):
    found = judged(tmp_path, name, 3, curves)
    assert found.kind == "undecided", found


def test_what_no_seed_changes_counts_once(tmp_path):
    found = judged(tmp_path, "orderings-quadratic", 8, rates(**GOOD_RATES))
    (igm,) = (part for part in found.details if part.what == "slope of IGM")
    assert (igm.n, igm.low, igm.high, igm.p) == (1, None, None, None)
    assert igm.effect == pytest.approx(-2.0, abs=0.2)
    assert "The slope of IGM is the same for every seed: one number, n = 1." in found.sentence


def test_what_is_nearly_true_by_construction_is_said_to_be(tmp_path):
    assert "nearly true by construction" in study("rs2-digits").claim
    assert "equal by construction" in judged(tmp_path, "rs2-digits", 8, accuracies(0.003, 0.0)).sentence


def test_every_study_has_a_claim_that_was_shown_to_hold_and_one_that_was_not():
    shown = {(name, kind) for name, kind, _, _ in CASES}
    for name in (
        "wu-regression",
        "wu-six-points",
        "wu-gaussian-teacher",
        "mnist-shuffling",
        "modular-addition",
    ):
        assert {(name, "holds"), (name, "does not hold")} <= shown


class TestModes:
    def weights(self, seed, norm, scale=1.0):
        rng = np.random.default_rng(seed)
        sizes, found = [(16, 64), (16, 16)], {}
        for layer, (out, into) in enumerate(sizes):
            found[f"hidden.{layer}.linear.weight"] = scale * rng.normal(size=(out, into)) / into**0.5
            if norm:
                found[f"hidden.{layer}.norm.weight"] = rng.normal(size=out)
                found[f"hidden.{layer}.norm.bias"] = rng.normal(size=out)
            else:
                found[f"hidden.{layer}.linear.bias"] = rng.normal(size=out)
        return found | {"head.weight": rng.normal(size=(10, 16)), "head.bias": rng.normal(size=10)}

    def model(self, weights):
        definition, norm = study("mlp-modes"), "hidden.0.norm.weight" in weights
        model = build("mlp", definition.shape, {"width": 16, "depth": 2, "norm": "batch" if norm else "none"})
        model.double().load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        return model

    def relabelled(self, norm, seed):
        """Return weights of a fair fit with the last hidden units in an order of the seed: one function."""
        split, found = study("mlp-modes").load(), self.weights(0, norm)
        units = torch.from_numpy(split.test_inputs).flatten(1)
        for layer in self.model(found).hidden:
            units = layer(units)
        columns = np.column_stack([units.detach().numpy(), np.ones(len(units))])
        head = 10 * np.linalg.lstsq(columns, np.eye(10)[split.test_targets], rcond=None)[0].T
        order = np.random.default_rng(seed).permutation(16)
        moved = {name: value[order] for name, value in found.items() if name.startswith("hidden.1")}
        return found | moved | {"head.weight": head[:, :-1][:, order], "head.bias": head[:, -1].copy()}

    @pytest.mark.parametrize("norm", [False, True])
    def test_the_loss_is_the_models_own(self, norm):
        split, weights = study("mlp-modes").load(), self.weights(0, norm)
        outputs = self.model(weights)(torch.from_numpy(split.test_inputs))
        expected = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(split.test_targets))
        assert loss_of(weights, split) == pytest.approx(expected.item(), rel=1e-12)

    def test_the_barrier_is_above_the_chord_and_none_to_oneself(self):
        split = study("mlp-modes").load()
        a, b = self.weights(0, False), self.weights(1, False)
        ends = [loss_of(a, split), loss_of(b, split)]
        middle = loss_of({name: (a[name] + b[name]) / 2 for name in a}, split)
        assert barrier(a, b, split) >= middle - sum(ends) / 2
        assert barrier(a, b, split) == pytest.approx(barrier(b, a, split))
        assert barrier(a, a, split) == pytest.approx(0.0, abs=1e-12)

    @pytest.mark.parametrize(
        ("modes", "seeds", "kind"),
        [
            ({"no BN"}, 12, "holds"),
            (set(), 12, "does not hold"),
            ({"no BN", "BN"}, 12, "does not hold"),
            ({"no BN"}, 6, "undecided"),
        ],
    )
    def test_the_verdict_reads_the_kept_weights_in_pairs(self, tmp_path, modes, seeds, kind):
        definition = study("mlp-modes")
        runs = {
            (arm.name, seed): {"full_batch_risk": END} for arm in definition.arms for seed in range(seeds)
        }
        store = record(tmp_path, definition, runs, STEPS)
        for run in store.catalog.runs(definition.name):
            weights = self.relabelled(run.arm == "BN", run.seed if run.arm in modes else 0)
            stacked = {name: value[None].astype(np.float32) for name, value in weights.items()}
            checkpoints.save(store, run.job, "weights", 1000, [run.id], stacked)
        judge = verdict(definition.name)
        assert judge is not None
        found = judge(store)
        assert found.kind == kind, found
        assert found.details[0].n == seeds // 2


class TestInstability:
    @pytest.mark.parametrize(
        ("parted", "families", "kind"),
        [
            ({0, 1}, 8, "holds"),
            (set(), 8, "does not hold"),
            ({0, 1, 2, 4, 8}, 8, "does not hold"),
            ({0, 4}, 8, "does not hold"),
            ({0, 16}, 8, "does not hold"),
            ({0, 1}, 4, "undecided"),
        ],
    )
    def test_the_verdict_pairs_siblings_and_follows_the_fork(self, tmp_path, parted, families, kind):
        found = self.judged(tmp_path, parted, range(2 * families))
        assert found.kind == kind, found
        assert [part.n for part in found.details] == [families] * 3

    def test_seeds_that_were_not_one_run_up_to_their_fork_are_left_out_and_said_to_be(self, tmp_path):
        found = self.judged(tmp_path, {0, 1}, range(16), strangers=(2,))
        assert [part.n for part in found.details] == [8, 8, 7]
        assert "1 families of fork 8 were not one run up to their fork and are left out" in found.sentence

    def test_a_family_is_paired_whatever_the_first_seed(self, tmp_path):
        found = self.judged(tmp_path, {0, 1}, range(1, 17))
        assert (found.kind, [part.n for part in found.details]) == ("holds", [7] * 3)

    def test_the_weights_are_kept_at_the_forks(self):
        definition = study("mlp-instability")
        forks = [arm.ordering_settings["fork"] for arm in definition.arms]
        assert definition.checkpoints == tuple(k * definition.steps // definition.epochs for k in forks)
        assert {arm.ordering_settings["children"] for arm in definition.arms} == {definition.children}

    def judged(self, root, parted, seeds, strangers=()):
        """Plant siblings with hidden units in two orders where the fork is in `parted`, and in one elsewhere.

        Of a family in `strangers` the arm "fork 8" has siblings that begin from different weights.
        """
        definition = study("mlp-instability")
        runs = {(arm.name, seed): {"full_batch_risk": END} for arm in definition.arms for seed in seeds}
        store = record(root, definition, runs, STEPS)
        planted, begun, ended = cache(lambda order: TestModes().relabelled(False, order)), [], []
        trained = store.catalog.runs(definition.name)
        for run in trained:
            fork, family = int(run.arm.split()[1]), run.seed // 2
            begun.append({"head.bias": np.full(10, run.seed if family in strangers and fork == 8 else -1)})
            ended.append(planted(run.seed if fork in parted else family))
        for step, kept in ((0, begun), (definition.steps, ended)):
            stacked = {name: np.stack([one[name] for one in kept]).astype(np.float32) for name in kept[0]}
            checkpoints.save(store, trained[0].job, "weights", step, [run.id for run in trained], stacked)
        judge = verdict(definition.name)
        assert judge is not None
        return judge(store)


def test_the_steepest_tenth_is_found():
    values = np.array([9.0, 2, 1, 1, 1, 1, 0.9, 0.1, 0.09, 0.08, 0.07])
    share, at = steepest(Curve(0, np.arange(11) * 10, values), plateau=1.0)
    assert share == pytest.approx(np.log(0.9 / 0.1) / np.log(1 / 0.07))
    assert at == 60
    assert np.isnan(steepest(Curve(0, np.arange(11), np.full(11, 0.9)), 1.0)[0])


def test_the_rates_are_of_the_trainings_that_the_study_plans():
    definition = study("orderings-quadratic")
    assert [arm.name for arm in definition.arms] == [
        f"{name} K={epochs}" for name in ORDERINGS for epochs in EPOCHS
    ]
    for arm in definition.arms:
        alone, epochs = definition.of(arm.name), int(arm.name.rpartition("=")[2])
        assert (alone.epochs, alone.steps) == (epochs, epochs * EXAMPLES)
        inputs = definition.load().train_inputs
        curvature = 2 * np.linalg.eigvalsh(inputs.T @ inputs / EXAMPLES)[0]
        assert alone.lr == pytest.approx(4 * np.log(EXAMPLES * epochs) / (curvature * EXAMPLES * epochs))
