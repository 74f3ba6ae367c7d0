import pytest
import torch

from engine.connectivity.pruning import prune
from tests.engine.connectivity.pairs import pair

MATRICES = ["hidden.0.linear.weight", "hidden.1.linear.weight", "hidden.2.linear.weight", "head.weight"]


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.83, 1.0])
def test_as_many_of_the_smallest_weights_as_asked_for(sparsity):
    model, a, _ = pair("mlp")
    before = {key: value.clone() for key, value in a.items()}
    found = prune(model, a, sparsity)
    dense, sparse = (torch.cat([one[name].flatten() for name in MATRICES]) for one in (a, found))
    assert int((sparse == 0).sum()) == round(sparsity * len(dense))
    kept = sparse != 0
    assert torch.equal(sparse[kept], dense[kept])
    if 0 < sparsity < 1:
        assert dense[~kept].abs().max() < dense[kept].abs().min()
    for key in a:
        assert torch.equal(a[key], before[key])
        if key not in MATRICES:
            assert torch.equal(found[key], a[key])


def test_of_equal_weights_the_first_ones_go():
    model, a, _ = pair("mlp")
    a = {key: -torch.ones_like(value) for key, value in a.items()}
    found = prune(model, a, 0.5)
    flat = torch.cat([found[name].flatten() for name in MATRICES])
    count = round(0.5 * len(flat))
    assert (flat[:count] == 0).all()
    assert (flat[count:] == -1).all()
    assert not torch.signbit(flat[:count]).any()


def test_embeddings_and_normalizations_stay():
    model, a, _ = pair("transformer")
    found = prune(model, a, 1.0)
    changed = {key for key in a if not torch.equal(a[key], found[key])}
    layers = ["query", "key", "value", "output", "hidden", "back", "unembedding"]
    assert changed == {f"{one}.weight" for one in layers}


def test_says_what_is_wrong():
    model, a, _ = pair("mlp")
    with pytest.raises(ValueError, match=r"`sparsity` must be in \[0, 1\]; got 1.1"):
        prune(model, a, 1.1)
