import numpy as np
import pytest
import torch

from engine.training.device_data import DeviceData
from engine.training.stack import Stack
from tests.engine.training.toys import ran, seeds, toy

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

KINDS = {
    "momentum": {"momentum": 0.9, "clip_norm": 1.0},
    "adam": {"optimizer": "adam", "lr": 0.02},
    "adamw": {"optimizer": "adamw", "lr": 0.02, "weight_decay": 0.1, "schedule": "cosine"},
    "tokens": {
        "dataset": "toy-tokens",
        "model": "transformer",
        "model_settings": {"width": 8, "heads": 2, "hidden": 8},
        "optimizer": "adamw",
        "lr": 0.01,
    },
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_graphed_step_is_the_plain_step(kind, monkeypatch):
    """For 20 steps, 5 of them of a smaller last batch."""
    study = toy(**KINDS[kind])
    data = DeviceData.of(study, torch.device("cuda"))
    results = []
    for graphed in (True, False):
        stack = Stack(study, dict(enumerate(seeds(study, 0, 1, 2))), data)
        if not graphed:
            # As where orders are balanced by gradients, by no replica's.
            stack._balanced = {"none": (torch.zeros(0, dtype=torch.long), _Nothing())}  # type: ignore[dict-item]
            monkeypatch.setattr(stack.ensemble, "example_gradients", lambda *args: None)
        losses = torch.stack([stack.take(1).losses[0] for _ in range(20)])
        assert bool(stack._graphed) == graphed
        results.append((losses, stack.weights(np.ones(3, bool)).parameters))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-12)
    for name, value in results[0][1].items():
        np.testing.assert_allclose(value, results[1][1][name], rtol=0, atol=1e-12)


class _Nothing:
    order = torch.empty(0, dtype=torch.long)

    def see(self, gradients: object) -> None:
        """Take no notice."""


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gpu_goes_on_from_a_state_to_the_same_bits(kind, dtype):
    device = torch.device("cuda")
    study = toy(**KINDS[kind], dtype=dtype)
    replicas = seeds(study, 0, 1, 2)
    whole = ran(study, replicas, due=lambda: True, device=device)
    state = next(one.state for one in whole.stretches if one.state is not None)
    again = ran(study, replicas, states=[state], device=device)
    assert again.rows.keys() == {key for key in whole.rows if key[1] > state.step}
    for key, row in again.rows.items():
        for name, value in row.items():
            np.testing.assert_array_equal(value, whole.rows[key][name])
    for key, weights in again.kept.items():
        for name, value in weights.items():
            np.testing.assert_array_equal(value, whole.kept[key][name])


def test_a_gpu_trains_as_a_cpu():
    study = toy(momentum=0.9)
    replicas = seeds(study, 0, 1)
    on = {name: ran(study, replicas, device=torch.device(name)) for name in ("cpu", "cuda")}
    assert on["cpu"].rows.keys() == on["cuda"].rows.keys()
    for key, row in on["cpu"].rows.items():
        for name, value in row.items():
            np.testing.assert_allclose(on["cuda"].rows[key][name], value, rtol=1e-7, atol=1e-9, err_msg=name)
