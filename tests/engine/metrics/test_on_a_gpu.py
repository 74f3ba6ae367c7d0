import dataclasses

import pytest
import torch
from torch.utils import _pytree as trees

from engine.metrics import Weights, metrics
from engine.training.loop import deterministic
from tests.engine.metrics.example import state

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def moved(value):
    return trees.tree_map(lambda leaf: leaf.cuda() if isinstance(leaf, torch.Tensor) else leaf, value)


@pytest.mark.parametrize("name", sorted(metrics()))
def test_a_gpu_measures_as_a_cpu_with_deterministic_algorithms(name):
    here = state()
    there = state(moved(dict(here.parameters)))
    fields = {field.name: moved(getattr(there, field.name)) for field in dataclasses.fields(there)}
    there = dataclasses.replace(there, **fields | {"weights": Weights(fields["parameters"])})
    with deterministic(torch.device("cuda")):
        found = metrics()[name].compute(there)
    torch.testing.assert_close(found.cpu(), metrics()[name].compute(here))
