"""Matching by weights: planted permutations come back, small networks match as enumeration says."""

from itertools import permutations as orders

import numpy as np
import pytest
import torch
from torch import nn

from engine.connectivity import match, permute, random_permutations, symmetry
from engine.connectivity.blocks import as_arrays
from engine.connectivity.permutations import identity
from engine.connectivity.weight_matching import WeightMatching
from engine.datasets import Shape
from engine.models import build

ROWS = Shape(100, (12,), 5, "classes")
IMAGES = Shape(100, (3, 9, 10), 5, "classes")
TOKENS = Shape(100, (3,), 7, "classes", 8)
SERIES = Shape(100, (6, 2), 3, "values")


class Flattening(nn.Module):
    """A residual convolutional network with a projection in its shortcut, flattened before the head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv1, self.norm1 = nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12)
        self.conv2, self.norm2 = nn.Conv2d(12, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.shortcut = nn.Conv2d(8, 12, 1, 2)
        self.head = nn.Linear(12 * 25, 5)

    def forward(self, inputs):
        stem = torch.relu(self.stem(inputs))
        image = torch.relu(self.norm1(self.conv1(stem)))
        return self.head(torch.relu(self.norm2(self.conv2(image)) + self.shortcut(stem)).flatten(1))


PLANTS = {
    "mlp": (lambda: build("mlp", ROWS, {"width": 24, "depth": 3}), ROWS),
    "mlp with batch normalization": (lambda: build("mlp", ROWS, {"width": 24, "norm": "batch"}), ROWS),
    "residual mlp": (lambda: build("residual-mlp", ROWS, {"width": 32, "blocks": 6}), ROWS),
    "residual convolutions": (Flattening, IMAGES),
    "resnet": (lambda: build("resnet", IMAGES, {"depth": 8, "width_factor": 0.5}), IMAGES),
    "transformer": (
        lambda: build("transformer", TOKENS, {"width": 32, "heads": 4, "hidden": 40}),
        TOKENS,
    ),
    "rnn": (lambda: build("rnn", SERIES, {"width": 24}), SERIES),
    "gru": (lambda: build("gru", SERIES, {"width": 24}), SERIES),
}


def examples(shape, count=2):
    torch.manual_seed(1)
    if shape.tokens is not None:
        return torch.randint(0, shape.tokens, (count, *shape.inputs))
    return torch.randn(count, *shape.inputs)


def weights(make, seed):
    torch.manual_seed(seed)
    return {
        name: value + 0.1 * torch.rand_like(value) if value.is_floating_point() else value
        for name, value in make().state_dict().items()
    }


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_permutation_is_recovered_to_the_bit(name):
    make, shape = PLANTS[name]
    model = make()
    found = symmetry(model, examples(shape))
    for seed in range(20):
        a = weights(make, seed)
        b = permute(found, random_permutations(found, np.random.default_rng(seed)), a)
        matching = match(model, a, b, examples(shape), restarts=16, seed=seed, null_pairs=0)
        assert same(matching.aligned, a), seed
        assert matching.distance_after == 0 < matching.distance_before
        assert matching.similarity_after == pytest.approx(1)
        assert matching.null is None


def test_a_noisy_copy_is_matched_as_the_exact_one():
    make, shape = PLANTS["mlp"]
    model, a = make(), weights(PLANTS["mlp"][0], 0)
    found = symmetry(model, examples(shape))
    planted = random_permutations(found, np.random.default_rng(0))
    noisy = {name: value + 0.02 * torch.randn_like(value) for name, value in a.items()}
    matching = match(model, a, permute(found, planted, noisy), examples(shape), null_pairs=0)
    assert same(matching.aligned, noisy)
    norm = sum((noisy[name].double() - a[name].double()).square().sum() for name in a).sqrt()
    assert matching.distance_after == pytest.approx(float(norm))


@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_many_starts_is_the_best_of_all_permutations(seed):
    def make():
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))

    model, a, b = make(), weights(make, 2 * seed), weights(make, 2 * seed + 1)
    one, other = ({name: value.double().numpy() for name, value in state.items()} for state in (a, b))
    products = []
    for p in map(list, orders(range(4))):
        for q in map(list, orders(range(4))):
            moved = [other["0.weight"][p], other["0.bias"][p], other["2.weight"][q][:, p], other["2.bias"][q]]
            moved.append(other["4.weight"][:, q])
            products.append(sum((one[name] * value).sum() for name, value in zip(one, moved, strict=False)))
    found = symmetry(model, torch.zeros(1, 3))
    matching = WeightMatching(found, as_arrays(a), as_arrays(b))
    ascent = matching.match(restarts=60, seed=0)
    assert matching.objective(ascent.permutations) == pytest.approx(max(products), rel=1e-12)
    assert matching.objective(identity(found)) == pytest.approx(products[0], rel=1e-12)


@pytest.mark.parametrize("name", ["transformer", "gru", "residual convolutions"])
def test_an_ascent_ends_where_no_group_alone_can_gain(name):
    make, shape = PLANTS[name]
    found = symmetry(make(), examples(shape))
    matching = WeightMatching(found, as_arrays(weights(make, 0)), as_arrays(weights(make, 1)))
    generator = np.random.default_rng(0)
    permutations, _ = matching.ascend(random_permutations(found, generator), generator)
    reached = matching.objective(permutations)
    again, _ = matching.ascend(permutations, generator)
    assert matching.objective(again) == pytest.approx(reached, rel=1e-12)
    for group, order in permutations.items():
        for _ in range(20):
            swapped = order.copy()
            row = swapped if swapped.ndim == 1 else swapped[generator.integers(len(swapped))]
            first, second = generator.choice(len(row), 2, replace=False)
            row[[first, second]] = row[[second, first]]
            # A recurrent matrix is quadratic in its group, for which the ascent promises less.
            if name != "gru":
                assert matching.objective(permutations | {group: swapped}) <= reached + 1e-9


@pytest.mark.parametrize("name", ["mlp", "gru", "transformer", "residual convolutions"])
def test_similarities_brought_up_to_date_are_those_computed_anew(name):
    make, shape = PLANTS[name]
    found = symmetry(make(), examples(shape))
    matching = WeightMatching(found, as_arrays(weights(make, 0)), as_arrays(weights(make, 1)))
    generator, known = np.random.default_rng(0), {}
    permutations = random_permutations(found, generator)
    orders = matching._orders(permutations)
    for _ in range(30):
        group = generator.choice(list(matching._uses))
        order = permutations[group].copy()
        first, second = generator.choice(len(order), 2, replace=False)
        order[[first, second]] = order[[second, first]]
        permutations[group] = order
        orders |= matching._orders(
            {group: order}
            | {name: permutations[name] for name, owner in found.inside.items() if owner == group}
        )
        for uses in matching._uses.values():
            for use in uses:
                known[use] = matching._similarity(*use, orders, known.get(use))
                anew = matching._similarity(*use, orders, None)
                np.testing.assert_allclose(known[use].matrix, anew.matrix, rtol=0, atol=1e-11)


def test_the_objective_is_that_of_the_permuted_weights():
    make, shape = PLANTS["transformer"]
    found = symmetry(make(), examples(shape))
    a, b = weights(make, 0), weights(make, 1)
    permutations = random_permutations(found, np.random.default_rng(0))
    moved = permute(found, permutations, b)
    expected = sum(float((a[name].double() * moved[name].double()).sum()) for name in found.parameters)
    objective = WeightMatching(found, as_arrays(a), as_arrays(b)).objective(permutations)
    assert objective == pytest.approx(expected, rel=1e-12)


def test_arrays_are_taken_and_the_same_seed_gives_the_same_result():
    make, shape = PLANTS["residual mlp"]
    model = make()
    a, b = ({name: value.numpy() for name, value in weights(make, seed).items()} for seed in (0, 1))
    one, other = (match(model, a, b, examples(shape), seed=3, restarts=2, null_pairs=0) for _ in range(2))
    assert all(
        np.array_equal(one.permutations[group], other.permutations[group]) for group in one.permutations
    )
    assert len(one.starts) == 2
    assert max(one.starts) == pytest.approx(one.similarity_after, abs=1e-6)
    assert one.distance_after < one.distance_before


def test_the_null_is_what_untrained_networks_reach():
    make, shape = PLANTS["mlp"]
    model, example = make(), examples(shape)

    def fresh(seed):
        torch.manual_seed(seed)
        return make().state_dict()

    matching = match(model, fresh(0), fresh(1), example, build=fresh, null_pairs=3)
    pairs = [match(model, fresh(2 * i), fresh(2 * i + 1), example, seed=i, null_pairs=0) for i in range(3)]
    reached = [pair.similarity_after for pair in pairs]
    assert matching.null.mean == pytest.approx(np.mean(reached))
    assert matching.null.sd == pytest.approx(np.std(reached, ddof=1))
    assert matching.null.before == pytest.approx(np.mean([pair.similarity_before for pair in pairs]))
    # These layers draw their own weights as `build` does; matching pays even where there is nothing to find.
    own = match(model, fresh(0), fresh(1), example)
    assert abs(own.null.mean - matching.null.mean) < 0.05
    assert own.null.mean > own.null.before + 0.1
    assert own.null is match(model, fresh(2), fresh(3), example).null
    assert np.isnan(match(model, fresh(0), fresh(1), example, null_pairs=1).null.sd)


def test_a_network_without_hidden_units_is_aligned_as_it_is():
    model = nn.Linear(3, 2)
    matching = match(model, model.state_dict(), nn.Linear(3, 2).state_dict(), torch.zeros(1, 3), null_pairs=0)
    assert matching.distance_after == matching.distance_before > 0
    assert np.isnan(matching.similarity_after)


def changed(**changes):
    state = {**weights(PLANTS["mlp"][0], 0), **changes}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("b", "options", "message"),
    [
        (changed(**{"head.bias": None}), {}, "`b` has no `head.bias`"),
        (changed(extra=torch.ones(2)), {}, "`b` has `extra`, which the network does not"),
        (
            changed(**{"head.bias": torch.ones(4)}),
            {},
            r"`head.bias` must have the shape \(5,\) .* got \(4,\)",
        ),
        (changed(**{"head.bias": torch.full((5,), torch.nan)}), {}, "`b` must be finite .* `head.bias`"),
        (changed(), {"method": "best"}, "`method` must be one of weights, activations, ste; got 'best'"),
        (changed(), {"method": "activations"}, "`data` must be inputs .* 'activations'; got NoneType"),
        (changed(), {"method": "ste", "data": torch.ones(2, 12)}, "`data` must be a pair"),
        (changed(), {"restarts": 0}, "`restarts` must be at least 1"),
    ],
)
def test_what_cannot_be_matched_is_named(b, options, message):
    with pytest.raises(ValueError, match=message):
        match(PLANTS["mlp"][0](), changed(), b, examples(ROWS), **options)
