"""Stacked training against each seed trained alone by torch's own modules, losses and optimizers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from engine.datasets import dataset
from engine.metrics import metrics
from engine.models import build
from engine.studies import Arm, Study
from engine.training.device_data import noisy
from engine.training.orderings import ordering
from engine.training.record import Replica
from tests.engine.training.toys import ROWS, ran, seeds, toy

pytestmark = pytest.mark.usefixtures("recorded_at_once")

STEPS = 52
NONE = dict.fromkeys(metrics(), 0)
Schedule = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]

# The same draws of initial weights in the same order as the model of that name.
PLAIN: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)),
    "mlp-bn": lambda: nn.Sequential(
        nn.Linear(5, 6, bias=False),
        nn.BatchNorm1d(6, track_running_stats=False),
        nn.ReLU(),
        nn.Linear(6, 3),
    ),
    "mlp-ln": lambda: nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 3)),
    "linear": lambda: nn.Sequential(
        nn.Linear(5, 6, bias=False),
        nn.BatchNorm1d(6, track_running_stats=False),
        nn.Linear(6, 6, bias=False),
        nn.BatchNorm1d(6, track_running_stats=False),
        nn.Linear(6, 3),
    ),
}


class Alone:
    """One seed trained as anybody would: a module, an optimizer, one batch after another."""

    def __init__(
        self,
        study: Study,
        seed: int,
        module: Callable[[], nn.Module],
        schedule: Schedule | None = None,
        steps: int = STEPS,
        penalty: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> None:
        split = dataset(study.dataset).load()
        inputs = torch.from_numpy(split.train_inputs)
        targets = torch.from_numpy(noisy(split.train_targets, study.label_noise, study.shape.outputs))
        torch.manual_seed(seed)
        self.module = module().double()
        optimizer = _optimizer(study, self.module)
        scheduled = schedule(optimizer) if schedule else None
        self.losses: list[float] = []
        for rows in batches(study, seed, steps):
            optimizer.zero_grad()
            loss = _loss(study.shape.task, self.module(inputs[rows]), targets[rows])
            self.losses.append(loss.item())
            if penalty is not None:
                loss = loss + penalty(self.module, inputs[rows])
            loss.backward()
            if study.clip_norm:
                nn.utils.clip_grad_norm_(self.module.parameters(), study.clip_norm)
            optimizer.step()
            if scheduled is not None:
                scheduled.step()


def batches(study: Study, seed: int, steps: int) -> list[np.ndarray]:
    arm, found, epoch = study.arms[0], list[np.ndarray](), 0
    while len(found) < steps:
        order = ordering(arm.ordering).order(ROWS, seed, epoch, **arm.ordering_settings)
        found += [order[start : start + study.batch] for start in range(0, len(order), study.batch)]
        epoch += 1
    return found[:steps]


def _optimizer(study: Study, module: nn.Module) -> torch.optim.Optimizer:
    shared = {"lr": study.lr, "weight_decay": study.weight_decay, "foreach": False}
    if study.optimizer == "sgd":
        return torch.optim.SGD(
            module.parameters(), momentum=study.momentum, nesterov=study.nesterov, **shared
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[study.optimizer]
    return kind(module.parameters(), betas=(study.beta1, study.beta2), **shared)


def _loss(task: str, outputs: Tensor, targets: Tensor) -> Tensor:
    if task == "classes":
        return functional.cross_entropy(outputs, targets)
    if task == "signs":
        return functional.soft_margin_loss(outputs[:, 0], targets)
    return functional.mse_loss(outputs, targets, reduction="sum") / targets[..., 0].numel()


def assert_as_alone(
    study: Study,
    module: Callable[[], nn.Module],
    schedule: Schedule | None = None,
    within: float = 1e-10,
    penalty: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> None:
    """Compare every batch loss and the last weights of three seeds trained together with each alone."""
    got = ran(study, seeds(study, 0, 1, 7))
    for replica, seed in enumerate([0, 1, 7]):
        alone = Alone(study, seed, module, schedule, study.steps, penalty)
        np.testing.assert_allclose(got.losses(replica), alone.losses, rtol=0, atol=within)
        weights = list(got.kept[replica, study.steps].values())
        expected = [value.detach().numpy() for value in alone.module.parameters()]
        assert [value.shape for value in weights] == [value.shape for value in expected]
        for value, other in zip(weights, expected, strict=True):
            np.testing.assert_allclose(value, other, rtol=0, atol=within)
    assert max(got.losses(0)) - min(got.losses(0)) > 0.1  # something was learned that could have differed


def settings(**changes):
    return toy(**{"batch_size": 13, "epochs": 26, "evaluate_every": 52, "cadence": NONE} | changes)


OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "weight_decay": 1e-2},
    "momentum": {"optimizer": "sgd", "momentum": 0.9, "lr": 0.05, "weight_decay": 1e-2},
    "nesterov": {"optimizer": "sgd", "momentum": 0.8, "nesterov": True, "lr": 0.05, "weight_decay": 1e-2},
    "adam": {"optimizer": "adam", "lr": 0.02, "beta1": 0.8, "beta2": 0.99, "weight_decay": 1e-2},
    "adamw": {"optimizer": "adamw", "lr": 0.02, "beta1": 0.8, "beta2": 0.99, "weight_decay": 0.1},
}


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_every_optimizer(optimizer):
    assert_as_alone(settings(**OPTIMIZERS[optimizer]), PLAIN["mlp-bn"])


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_other_normalizations(norm):
    model = {"width": 6, "depth": 1, "norm": norm}
    assert_as_alone(settings(model_settings=model), PLAIN["mlp" if norm == "none" else "mlp-ln"])


def test_a_linear_network():
    model = {"width": 6, "depth": 2, "norm": "batch"}
    assert_as_alone(settings(model="linear-network", model_settings=model), PLAIN["linear"])


SCHEDULES: dict[str, tuple[dict[str, object], Schedule]] = {
    "step": (
        {"schedule": "step", "schedule_settings": {"every": 3, "factor": 0.5}},
        lambda optimizer: lr_scheduler.StepLR(optimizer, 3 * 2, 0.5),
    ),
    "cosine": (
        {"schedule": "cosine", "schedule_settings": {"floor": 0.1}},
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS, 0.1 * 0.1),
    ),
    "polynomial per epoch": (
        {"schedule": "polynomial", "schedule_settings": {"power": 0.6}},
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: (1 + step // 2) ** -0.6),
    ),
    "polynomial per step": (
        {"schedule": "polynomial", "schedule_settings": {"power": 0.6, "per": "step"}},
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: (1 + step) ** -0.6),
    ),
    "warm-up": (
        {"warmup_steps": 20},
        lambda optimizer: lr_scheduler.LinearLR(optimizer, 1 / 20, 1.0, 19),
    ),
    "warm-up and cosine": (
        {"warmup_steps": 20, "schedule": "cosine"},
        lambda optimizer: lr_scheduler.ChainedScheduler(
            [
                lr_scheduler.LinearLR(optimizer, 1 / 20, 1.0, 19),
                lr_scheduler.CosineAnnealingLR(optimizer, STEPS, 0.0),
            ]
        ),
    ),
}


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_every_schedule(name):
    changes, schedule = SCHEDULES[name]
    assert_as_alone(settings(momentum=0.5, **changes), PLAIN["mlp-bn"], schedule)


def test_a_smaller_last_batch():
    assert_as_alone(settings(batch_size=8, epochs=13, momentum=0.9, lr=0.02), PLAIN["mlp-bn"])


def test_full_batch():
    assert_as_alone(settings(batch_size=0, epochs=STEPS), PLAIN["mlp-bn"])


def test_clipping():
    """torch divides by the norm + 1e-6, a relative difference of 1e-6 / norm."""
    study = settings(clip_norm=0.3, momentum=0.9, epochs=8)
    assert_as_alone(study, PLAIN["mlp-bn"], within=1e-5)
    free = ran(settings(momentum=0.9, epochs=8), [Replica("it", 0)])
    assert np.abs(np.subtract(free.losses(), ran(study, [Replica("it", 0)]).losses())).max() > 1e-3


def test_label_noise():
    assert_as_alone(settings(label_noise=0.3), PLAIN["mlp-bn"])
    assert (
        ran(settings(), [Replica("it", 0)]).losses()[0]
        != ran(settings(label_noise=0.3), [Replica("it", 0)]).losses()[0]
    )


def test_logistic_loss():
    def plain() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 1))

    model = {"width": 6, "depth": 1, "norm": "none", "activation": "tanh"}
    assert_as_alone(settings(dataset="toy-signs", model_settings=model, label_noise=0.2), plain)


def test_squared_error():
    def plain() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 2))

    model = {"width": 6, "depth": 1, "norm": "none", "activation": "gelu"}
    assert_as_alone(settings(dataset="toy-values", model_settings=model, lr=0.02), plain)


def test_tokens():
    model = {"width": 8, "heads": 2, "hidden": 8, "norm": "layer"}
    study = settings(dataset="toy-tokens", model="transformer", model_settings=model, **OPTIMIZERS["adamw"])
    assert_as_alone(study, lambda: build("transformer", study.shape, model))


class Elman(nn.Module):
    """torch's own recurrent layer; draws in the order of Detour's."""

    def __init__(self) -> None:
        super().__init__()
        ours = build("rnn", toy(dataset="toy-sequences").shape, {"width": 6, "readout": "all"})
        self.recurrent = nn.RNN(2, 6, batch_first=True)
        self.head = nn.Linear(6, 1)
        with torch.no_grad():
            for mine, value in zip(
                self.parameters(), _elman_order(dict(ours.named_parameters())), strict=True
            ):
                mine.copy_(value)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.recurrent(inputs)[0])
        return outputs


def _elman_order(named: dict[str, Tensor]) -> list[Tensor]:
    names = ["from_input.weight", "from_state.weight", "from_input.bias", "from_state.bias"]
    return [named[name] for name in [*names, "head.weight", "head.bias"]]


@pytest.mark.parametrize("consistency", [0.0, 5.0])
def test_sequences_with_and_without_the_consistency_penalty(consistency):
    def penalty(module: nn.Module, inputs: Tensor) -> Tensor:
        states = module.recurrent(inputs)[0]
        total = states.new_zeros(())
        for step in range(1, states.shape[1]):
            total = total + (states[:, step] - states[:, step - 1]).pow(2).sum()
        return consistency * total / (states.shape[0] * (states.shape[1] - 1))

    study = settings(
        dataset="toy-sequences",
        model="rnn",
        model_settings={"width": 6, "readout": "all"},
        consistency=consistency,
        lr=0.05,
        momentum=0.9,
    )
    got = ran(study, seeds(study, 0, 1))
    for replica in (0, 1):
        alone = Alone(study, replica, Elman, penalty=penalty)
        np.testing.assert_allclose(got.losses(replica), alone.losses, rtol=0, atol=1e-10)
        weights = _elman_order(got.kept[replica, STEPS])
        for value, other in zip(weights, alone.module.parameters(), strict=True):
            np.testing.assert_allclose(value, other.detach().numpy(), rtol=0, atol=1e-10)
    without = Alone(study, 0, Elman)
    assert consistency == 0 or np.abs(np.subtract(without.losses, got.losses(0))).max() > 1e-3


@pytest.mark.parametrize("name", ["SS", "RR", "IGM", "WR", "FlipFlop", "RS2"])
def test_every_ordering(name):
    study = settings(ordering=name, **({"fraction": 0.3} if name == "RS2" else {}))
    assert_as_alone(study, PLAIN["mlp-bn"])


def test_arms_of_their_own_settings_in_one_study():
    arms = (
        Arm("sgd", "SS"),
        Arm("adam", "RR", training={"optimizer": "adam", "lr": 0.01}),
        Arm("small", "RR", training={"batch_size": 8, "epochs": 5, "momentum": 0.9}),
        Arm("plain", "RR", {"norm": "none"}, training={"epochs": 8, "schedule": "cosine"}),
    )
    study = settings(arms=arms, epochs=10)
    replicas = seeds(study, 0, 3)
    got = ran(study, replicas)
    for index, (arm, seed) in enumerate(replicas):
        alone = study.of(arm)
        schedule = (lambda one: lr_scheduler.CosineAnnealingLR(one, 16, 0.0)) if arm == "plain" else None
        expected = Alone(alone, seed, PLAIN["mlp" if arm == "plain" else "mlp-bn"], schedule, alone.steps)
        np.testing.assert_allclose(got.losses(index), expected.losses, rtol=0, atol=1e-10)
    lengths = [len(got.losses(index)) for index in range(0, 8, 2)]
    assert lengths == [20, 20, 20, 16]


def test_a_seed_does_not_depend_on_its_company():
    study = settings(epochs=8)
    together, apart = ran(study, seeds(study, *range(6))), ran(study, [Replica("it", 4)])
    np.testing.assert_allclose(apart.losses(0), together.losses(4), rtol=0, atol=1e-12)


def test_paired_arms_share_their_first_epoch():
    study = settings(arms=(Arm("SS", "SS"), Arm("RR", "RR")), epochs=4)
    got = ran(study, seeds(study, 0, 1))
    for seed in (0, 1):
        ss, rr = np.array(got.losses(seed)), np.array(got.losses(2 + seed))
        np.testing.assert_allclose(ss[:2], rr[:2], rtol=0, atol=1e-12)
        assert np.abs(ss[2:] - rr[2:]).max() > 1e-3


def test_bfloat16_stays_finite_and_near_float32():
    changes = {"model_settings": {"width": 32, "depth": 2, "norm": "batch"}, "lr": 0.01}
    half, whole = (
        ran(settings(dtype=dtype, **changes), [Replica("it", 0), Replica("it", 1)])
        for dtype in ("bfloat16", "float32")
    )
    for replica in (0, 1):
        losses, expected = np.array(half.losses(replica)), np.array(whole.losses(replica))
        assert np.isfinite(losses).all()
        assert 1e-6 < np.abs(losses - expected).max() < 0.1  # 8 bits of 1.1 nats: it did run in bfloat16
    assert all(value.dtype == np.float32 for value in half.kept[0, STEPS].values())
