import pytest
import torch
from torch import nn

from engine.models import build
from engine.training.ensemble import Ensemble, initial
from tests.engine.training.toys import CPU, TOYS, toy

pytestmark = pytest.mark.usefixtures("recorded_at_once")

MODELS = {
    "mlp-bn": ("toy-classes", "mlp", {"width": 6, "depth": 2, "norm": "batch"}),
    "mlp": ("toy-classes", "mlp", {"width": 6, "depth": 1}),
    "signs": ("toy-signs", "mlp", {"width": 6, "depth": 1, "norm": "layer"}),
    "rnn": ("toy-sequences", "rnn", {"width": 4, "readout": "all"}),
    "transformer": ("toy-tokens", "transformer", {"width": 8, "heads": 2, "hidden": 8}),
}


def ensemble_of(name, seeds=(0, 1, 2), dtype=torch.float64):
    dataset, model, settings = MODELS[name]
    shape = TOYS[dataset].shape()
    made = Ensemble(lambda: build(model, shape, settings), seeds, CPU, dtype, shape.task)
    split = TOYS[dataset].load()
    inputs, targets = torch.from_numpy(split.train_inputs), torch.from_numpy(split.train_targets)
    rows = torch.stack([torch.randperm(26, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    return made, inputs[rows[:, :8]], targets[rows[:, :8]]


def alone(name, made, replica):
    """Return an ordinary module at the weights of one replica."""
    dataset, model, settings = MODELS[name]
    module = build(model, TOYS[dataset].shape(), settings).double()
    module.load_state_dict({key: value[replica] for key, value in made.parameters.items()})
    return module


def example_losses(name, outputs, targets):
    if MODELS[name][0] == "toy-signs":
        return torch.log1p(torch.exp(-targets * outputs[:, 0]))
    if MODELS[name][0] == "toy-sequences":
        return ((outputs - targets) ** 2).sum(2).mean(1)
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_gradients_of_examples_are_those_of_a_backward_pass_for_each(name):
    made, inputs, targets = ensemble_of(name)
    which = torch.tensor([2, 0])
    got = made.example_gradients(which, inputs[which], targets[which])
    for at, replica in enumerate([2, 0]):
        module = alone(name, made, replica)
        losses = example_losses(name, module(inputs[replica]), targets[replica])
        for example, loss in enumerate(losses):
            rows = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
            expected = torch.cat([row.flatten() for row in rows])
            torch.testing.assert_close(got[at, example], expected, rtol=0, atol=1e-12)
    mean = torch.cat(
        [made.gradients(inputs, targets).gradients[key].flatten(1) for key in made.parameters], 1
    )
    torch.testing.assert_close(got.mean(1), mean[which], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_batch_losses_are_each_batchs_mean(name, monkeypatch):
    made, inputs, targets = ensemble_of(name)
    shuffled = torch.stack(
        [torch.randperm(8, generator=torch.Generator().manual_seed(one)) for one in range(3)]
    )
    inputs, targets = inputs[0], targets[0]
    for numbers in (1 << 18, 1):  # all replicas in one call, and one by one
        monkeypatch.setattr("engine.at_once._CPU", numbers)
        got = made.batch_losses(inputs, targets, shuffled.view(3, 2, 4))
        assert got.shape == (3, 2)
        for replica in range(3):
            module = alone(name, made, replica)
            for half, rows in enumerate(shuffled[replica].split(4)):
                expected = example_losses(name, module(inputs[rows]), targets[rows]).mean()
                assert got[replica, half].item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_recorded_step_is_used_and_is_the_transformed_one_bit_for_bit():
    made, inputs, targets = ensemble_of("mlp-bn", dtype=torch.float32)
    inputs = inputs.float()
    first = made.gradients(inputs, targets)
    assert all(isinstance(step, torch.fx.GraphModule) for step in made._captured.values())
    assert len(made._captured) == 1
    for value in made.parameters.values():
        value.mul_(1.5)  # a recording must not hold on to the weights it saw
    again, (gradients, losses) = (
        made.gradients(inputs, targets),
        made.transformed(made.parameters, inputs, targets),
    )
    assert (again.losses == losses).all()
    assert (again.losses != first.losses).all()
    for name, value in gradients.items():
        assert (again.gradients[name] == value).all()


def test_a_recording_that_differs_is_not_used(monkeypatch):
    made, inputs, targets = ensemble_of("mlp")
    record = made.record("real")

    def wrong(*arguments):
        graph = record(*arguments)
        last = next(node for node in graph.graph.nodes if node.op == "output")
        outputs = list(last.args[0])
        with graph.graph.inserting_before(last):
            outputs[0] = graph.graph.call_function(torch.ops.aten.mul.Tensor, (outputs[0], 0.5))
        last.args = (outputs,)
        return graph

    monkeypatch.setattr(made, "record", lambda mode: wrong)
    got = made.gradients(inputs, targets).gradients
    expected, _ = made.transformed(made.parameters, inputs, targets)
    assert all((got[name] == expected[name]).all() for name in expected)


def test_a_nan_in_one_replica_reaches_no_other():
    made, inputs, targets = ensemble_of("mlp-bn")
    clean = made.gradients(inputs, targets)
    for value in made.parameters.values():
        value[1] = torch.nan
    got = made.gradients(inputs, targets)
    assert got.losses.isnan().tolist() == [False, True, False]
    for name, value in got.gradients.items():
        assert (value[[0, 2]] == clean.gradients[name][[0, 2]]).all()
        assert value[1].isnan().any()
    outputs = made.outputs(inputs[0])
    assert outputs[[0, 2]].isfinite().all()
    assert outputs[1].isnan().all()


def test_outputs_and_hidden_units_do_not_depend_on_how_many_are_evaluated_at_once(monkeypatch):
    made, inputs, _ = ensemble_of("mlp-bn")
    together, hidden = made.outputs(inputs[0]), made.hidden(inputs[0])
    assert list(hidden) == ["hidden.0.activation", "hidden.1.activation"]
    monkeypatch.setattr("engine.at_once._CPU", 1)
    torch.testing.assert_close(made.outputs(inputs[0]), together, rtol=0, atol=1e-14)
    for replica in range(3):
        module = alone("mlp-bn", made, replica)
        torch.testing.assert_close(module(inputs[0]), together[replica], rtol=0, atol=1e-12)
        torch.testing.assert_close(
            module.hidden[0](inputs[0]), hidden["hidden.0.activation"][replica], rtol=0, atol=1e-12
        )


def test_initial_weights_are_a_function_of_the_seed_alone_in_every_precision():
    def make():
        return build("mlp", TOYS["toy-classes"].shape(), {"width": 3})

    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    many = initial(make, [4, 9, 4], CPU, torch.float64)
    assert (torch.random.get_rng_state() == before).all()
    torch.manual_seed(9)
    plain = dict(make().named_parameters())
    single = initial(make, [9], CPU, torch.float32)
    for name, value in many.items():
        assert (value[1] == plain[name].double()).all()
        assert (single[name][0] == plain[name]).all()
        assert (value[0] == value[2]).all()
        assert not value.requires_grad
    value = many["head.weight"]
    value[0] = 0  # replicas of one seed do not share memory
    assert (value[2] != 0).any()


def test_a_module_with_buffers_is_refused():
    with pytest.raises(ValueError, match=r"without buffers; got .*running_mean"):
        initial(lambda: nn.BatchNorm1d(3), [0], CPU, torch.float32)


def test_a_snapshot_keeps_its_weights():
    made, inputs, _ = ensemble_of("mlp")
    copy, before = made.snapshot(), made.outputs(inputs[0])
    made.keep(torch.tensor([False, True, True]))
    for value in made.parameters.values():
        value.zero_()
    assert (copy.outputs(inputs[0]) == before).all()
    assert len(copy) == 3
    assert len(made) == 2


def test_bfloat16_returns_float32_gradients():
    study = toy(dtype="bfloat16")
    made = Ensemble(
        lambda: build("mlp", study.shape, {"width": 6, "norm": "batch"}),
        [0],
        CPU,
        torch.float32,
        autocast=True,
    )
    _, inputs, targets = ensemble_of("mlp-bn", (0,))
    got = made.gradients(inputs.float(), targets)
    assert got.losses.dtype == torch.float32
    exact = Ensemble(
        lambda: build("mlp", study.shape, {"width": 6, "norm": "batch"}), [0], CPU, torch.float32
    )
    expected = exact.gradients(inputs.float(), targets)
    for name, value in got.gradients.items():
        assert value.dtype == torch.float32
        error = (value - expected.gradients[name]).norm() / expected.gradients[name].norm()
        assert error.item() < 0.05
    assert (got.losses - expected.losses).abs().item() > 1e-7
