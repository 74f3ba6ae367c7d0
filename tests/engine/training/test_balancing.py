import numpy as np
import pytest
import torch

from engine.studies import Arm
from engine.training.balancing import Balance
from engine.training.orderings import ordering
from tests.engine.training.toys import ROWS, TOYS, ran, seeds, stack_of, toy

RULES = {"GraB": "mean", "PairBalance": "pair"}


class Plain:
    """Algorithms 3 and 4 of Lu, Guo & De Sa 2022 (and CD-GraB's pairs), one example at a time, in lists."""

    def __init__(self, rule, order):
        self.rule, self.order = rule, list(order)
        self.stale = None

    def epoch(self, gradients):
        """Take the gradients of the examples in the order just visited; return the next order."""
        n, dimensions = len(self.order), len(gradients[0])
        stale = self.stale if self.stale is not None else [0.0] * dimensions
        running, signs = [0.0] * dimensions, [+1] * n

        def balance(vector):
            nonlocal running
            plus = sum((a + b) ** 2 for a, b in zip(running, vector, strict=True)) ** 0.5
            minus = sum((a - b) ** 2 for a, b in zip(running, vector, strict=True)) ** 0.5
            sign = +1 if plus < minus else -1
            running = [a + sign * b for a, b in zip(running, vector, strict=True)]
            return sign

        if self.rule == "mean":
            for t in range(n):
                signs[t] = balance([g - m for g, m in zip(gradients[t], stale, strict=True)])
        else:
            for t in range(0, n - 1, 2):
                sign = balance([a - b for a, b in zip(gradients[t], gradients[t + 1], strict=True)])
                signs[t], signs[t + 1] = sign, -sign
        self.stale = [sum(g[j] for g in gradients) / n for j in range(dimensions)]
        following, left, right = [None] * n, 0, n - 1
        for t in range(n):
            if signs[t] > 0:
                following[left] = self.order[t]
                left += 1
            else:
                following[right] = self.order[t]
                right -= 1
        self.order = following
        return following


@pytest.mark.parametrize("rule", ["mean", "pair"])
@pytest.mark.parametrize("examples", [9, 10])
def test_orders_are_those_of_the_papers_algorithm(rule, examples):
    rng = np.random.default_rng(0)
    first = np.stack([rng.permutation(examples) for _ in range(3)])
    balance = Balance(rule, torch.from_numpy(first))
    plain = [Plain(rule, order) for order in first]
    for _ in range(4):
        gradients = rng.normal(size=(3, examples, 4))  # of the epoch's positions: they change as weights do
        for start in range(0, examples, 4):
            balance.see(torch.from_numpy(gradients[:, start : start + 4]))
        expected = [one.epoch(list(part)) for one, part in zip(plain, gradients, strict=True)]
        assert balance.order.tolist() == expected


def heights(vectors, orders):
    """Return the longest prefix sum of the centred vectors in each order."""
    centred = vectors - vectors.mean(0)
    return [np.linalg.norm(np.cumsum(centred[order], 0), axis=1).max() for order in orders]


@pytest.mark.parametrize("rule", ["mean", "pair"])
def test_prefix_sums_of_centred_gradients_stay_below_those_of_random_orders(rule):
    rng = np.random.default_rng(1)
    for _ in range(5):
        vectors = rng.normal(size=(200, 8)) + 3.0
        random = heights(vectors, [rng.permutation(200) for _ in range(200)])
        balance = Balance(rule, torch.from_numpy(rng.permutation(200)[None]))
        for _ in range(20):
            balance.see(torch.from_numpy(vectors[balance.order[0].numpy()][None]))
        assert sorted(balance.order[0].tolist()) == list(range(200))
        assert heights(vectors, balance.order.numpy())[0] < 0.6 * np.quantile(random, 0.05)


def example_gradients(module, inputs, targets):
    """One backward pass for every example's own loss within its batch."""
    each = torch.nn.functional.cross_entropy(module(inputs), targets, reduction="none")
    parameters = list(module.parameters())
    rows = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in each]
    return [torch.cat([part.flatten() for part in row]).tolist() for row in rows]


@pytest.mark.parametrize("name", ["GraB", "PairBalance"])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_training_follows_the_papers_algorithm(name, norm):
    """One seed alone, in torch's modules and lists, against two stacked, with a smaller last batch."""
    study = toy(
        ordering=name, model_settings={"width": 4, "depth": 1, "norm": norm}, momentum=0.5, evaluate_every=20
    )
    got = ran(study, seeds(study, 0, 3))
    split = TOYS["toy-classes"].load()
    inputs, targets = torch.from_numpy(split.train_inputs), torch.from_numpy(split.train_targets)
    for replica, seed in enumerate([0, 3]):
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(5, 4, bias=norm == "none")]
        layers += [torch.nn.BatchNorm1d(4, track_running_stats=False)] if norm == "batch" else []
        module = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(4, 3)).double()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.5)
        plain, losses = Plain(RULES[name], ordering("RR").order(ROWS, seed, 0)), []
        for _ in range(study.epochs):
            seen = []
            for start in range(0, ROWS, 8):
                rows = plain.order[start : start + 8]
                seen += example_gradients(module, inputs[rows], targets[rows])
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(module(inputs[rows]), targets[rows])
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            plain.epoch(seen)
        np.testing.assert_allclose(got.losses(replica), losses, rtol=0, atol=1e-10)


def test_balanced_and_other_orders_in_one_stack_change_each_other_nothing():
    names = ["GraB", "RR", "PairBalance", "SS"]
    study = toy(arms=tuple(Arm(name, name) for name in names), batch_size=13, epochs=6)
    together = ran(study, seeds(study, 0, 1))
    for at, name in enumerate(names):
        alone = toy(ordering=name, batch_size=13, epochs=6)
        apart = ran(alone, seeds(alone, 0, 1))
        for seed in (0, 1):
            np.testing.assert_allclose(together.losses(2 * at + seed), apart.losses(seed), rtol=0, atol=1e-12)
    assert abs(together.losses(0)[-1] - together.losses(2)[-1]) > 1e-4


def test_balanced_orders_follow_the_replicas_that_stay():
    arms = (Arm("RR", "RR"), Arm("GraB", "GraB"), Arm("PairBalance", "PairBalance"))
    study = toy(arms=arms, batch_size=13, epochs=8)
    stack, whole = stack_of(study, seeds(study, 0, 1)), stack_of(study, seeds(study, 0, 1))
    for one in (stack, whole):
        one.advance(5)  # amid an epoch
    stack.keep(np.array([False, True, False, True, True, False]))
    stays = [1, 3, 4]
    got, expected = (one.advance(10).snapshot.measure() for one in (stack, whole))
    assert list(got.replicas) == stays
    np.testing.assert_allclose(
        got.columns["batch_loss"], expected.columns["batch_loss"][stays], rtol=0, atol=1e-12
    )
    assert (stack._orders == whole._orders[stays]).all()
    stack.keep(np.array([True, False, False]))
    assert not stack._balanced
    stack.advance(12)
