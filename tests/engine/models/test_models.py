"""What every model promises: it can be stacked, differentiated, converted, and mended."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from data.errors import LabError
from engine.datasets import Shape
from engine.models import build, models

ROWS = Shape(100, (12,), 5, "classes")
IMAGES = Shape(100, (3, 9, 10), 5, "classes")
TOKENS = Shape(100, (3,), 7, "classes", 8)
SERIES = Shape(100, (6, 2), 3, "values")

CASES = [
    ("linear-network", ROWS, {"width": 7, "depth": 2}),
    (
        "linear-network",
        ROWS,
        {"depth": 0, "normalize_inputs": True, "bias": False, "affine": "scale", "eps": 0.0},
    ),
    ("linear-network", IMAGES, {"width": 4, "depth": 1, "norm": "none", "init": "orthogonal"}),
    ("mlp", ROWS, {"width": 7, "norm": "batch", "activation": "tanh"}),
    ("mlp", ROWS, {"width": 7, "norm": "layer", "activation": "gelu"}),
    ("mlp", ROWS, {"width": 7, "depth": 3}),
    ("residual-mlp", ROWS, {"width": 7, "norm": "batch"}),
    ("residual-mlp", ROWS, {"width": 7, "norm": "layer", "activation": "tanh"}),
    ("residual-mlp", ROWS, {"width": 7, "blocks": 3}),
    ("cnn", IMAGES, {"width": 3, "depth": 3}),
    ("cnn", IMAGES, {"width": 3, "norm": "layer"}),
    ("cnn", IMAGES, {"width": 3, "norm": "none", "activation": "gelu"}),
    ("resnet", IMAGES, {"depth": 8, "width_factor": 0.25}),
    ("resnet", IMAGES, {"depth": 8, "width_factor": 0.25, "norm": "layer"}),
    ("resnet", IMAGES, {"depth": 8, "width_factor": 0.25, "norm": "none", "residual": False}),
    ("transformer", TOKENS, {"width": 8, "heads": 2, "hidden": 11}),
    ("transformer", TOKENS, {"width": 8, "norm": "layer", "hidden": 11}),
    ("rnn", SERIES, {"width": 7, "readout": "all"}),
    ("rnn", SERIES, {"width": 7, "recurrent": "orthogonal"}),
    ("gru", SERIES, {"width": 7, "readout": "all", "recurrent": "normal"}),
    ("gru", SERIES, {"width": 7}),
]
EACH = pytest.mark.parametrize(("name", "shape", "settings"), CASES, ids=str)


def perturbed(name, shape, settings, seed=0) -> nn.Module:
    """A model in float64 away from its initialization, where gammas are 1 and betas 0."""
    torch.manual_seed(seed)
    model = build(name, shape, settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def examples(shape, *leading):
    if shape.tokens is not None:
        return torch.randint(0, shape.tokens, (*leading, *shape.inputs))
    return torch.randn(*leading, *shape.inputs, dtype=torch.float64)


def weighted(outputs):
    """A loss that no symmetry of the outputs leaves at an extreme."""
    return (
        outputs.sin() * torch.linspace(0.5, 2, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    ).sum()


def test_every_model_is_among_the_cases():
    assert {name for name, _, _ in CASES} == set(models())


@EACH
@pytest.mark.parametrize("recorded", [False, True])
def test_stacked_gradients_are_those_of_each_replica_alone(name, shape, settings, recorded):
    alone = [perturbed(name, shape, settings, seed) for seed in range(3)]
    inputs = examples(shape, 3, 6)
    parameters, buffers = stack_module_state(alone)
    assert not buffers
    parameters = {key: value.detach() for key, value in parameters.items()}
    with torch.device("meta"):
        skeleton = build(name, shape, settings).double()

    def loss(parameters, inputs):
        return weighted(functional_call(skeleton, parameters, (inputs,)))

    step = vmap(grad_and_value(loss))
    if recorded:
        step = make_fx(step)(parameters, inputs)
    gradients, losses = step(parameters, inputs)
    for seed, model in enumerate(alone):
        expected = weighted(model(inputs[seed]))
        expected.backward()
        torch.testing.assert_close(losses[seed], expected, rtol=0, atol=1e-10)
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[key][seed], parameter.grad, rtol=1e-10, atol=1e-10)


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_have_the_precision_of_the_weights_and_one_column_per_output(name, shape, settings, dtype):
    model, inputs = build(name, shape, settings).to(dtype), examples(shape, 6)
    outputs = model(inputs.to(dtype) if inputs.is_floating_point() else inputs)
    steps = shape.inputs[:1] if settings.get("readout") == "all" else ()
    assert outputs.shape == (6, *steps, shape.outputs)
    assert outputs.dtype == dtype
    assert outputs.isfinite().all()


@EACH
def test_a_seed_fixes_the_weights_and_another_changes_them(name, shape, settings):
    def weights(seed):
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build(name, shape, settings).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


WITH_UNITS = [case for case in CASES if hasattr(models()[case[0]], "units")]
EACH_WITH_UNITS = pytest.mark.parametrize(("name", "shape", "settings"), WITH_UNITS, ids=str)


@EACH_WITH_UNITS
@torch.no_grad()
def test_a_unit_whose_outgoing_weights_are_zero_has_no_influence(name, shape, settings):
    model, inputs = perturbed(name, shape, settings), examples(shape, 6)
    for units in model.units():
        module = model.get_submodule(units.activation)

        def raised(module, inputs, output):
            output = output.clone()
            output[0, 2] += 1  # not of every example, which a batch normalization behind it would not see
            return output

        before = model(inputs)
        handle = module.register_forward_hook(raised)
        assert (model(inputs) - before).abs().max() > 1e-3
        handle.remove()
        for outgoing in units.outgoing:
            model.get_parameter(outgoing)[:, 2] = 0
        before = model(inputs)
        handle = module.register_forward_hook(raised)
        torch.testing.assert_close(model(inputs), before, rtol=0, atol=1e-12)
        handle.remove()


@EACH_WITH_UNITS
@torch.no_grad()
def test_permuted_units_leave_the_outputs_as_they_were(name, shape, settings):
    model, inputs = perturbed(name, shape, settings), examples(shape, 6)
    expected = model(inputs)
    for units in model.units():
        order = torch.randperm(len(model.get_parameter(units.incoming[0])))
        for incoming in units.incoming:
            parameter = model.get_parameter(incoming)
            parameter.copy_(parameter[order])
        assert (model(inputs) - expected).abs().max() > 1e-3
        for outgoing in units.outgoing:
            parameter = model.get_parameter(outgoing)
            parameter.copy_(parameter[:, order])
        torch.testing.assert_close(model(inputs), expected, rtol=0, atol=1e-12)


def test_every_nonlinearity_of_a_feedforward_model_but_the_streams_has_units():
    counts = {name: len(build(name, shape, settings).units()) for name, shape, settings in WITH_UNITS}
    assert counts == {"mlp": 3, "residual-mlp": 3, "cnn": 2, "transformer": 1}


@pytest.mark.parametrize(
    ("name", "shape", "settings", "message"),
    [
        ("linear-network", ROWS, {"norm": "layer"}, "`norm` must be one of batch, none; got 'layer'"),
        ("linear-network", ROWS, {"width": 0}, "`width` must be .* at least 1; got 0"),
        ("linear-network", ROWS, {"depth": -1}, "`depth` must be .* at least 0; got -1"),
        ("linear-network", ROWS, {"eps": -1e-5}, "`eps` must be .* at least 0; got -1e-05"),
        ("linear-network", ROWS, {"eps": float("nan")}, "`eps` must be .* got nan"),
        ("linear-network", ROWS, {"init": "best"}, "`init` must be one of default, .* got 'best'"),
        ("linear-network", TOKENS, {}, "`inputs` must be measurements, not tokens; got a vocabulary of 8"),
        ("mlp", ROWS, {"depth": 0, "norm": "group"}, "`norm` must be one of batch, layer, none; got 'group'"),
        ("mlp", ROWS, {"activation": "sine"}, "`activation` must be one of relu, tanh, gelu; got 'sine'"),
        ("mlp", ROWS, {"width": 6.5}, "`width` must be a whole number of at least 1; got 6.5"),
        ("mlp", ROWS, {"init_scale": 0}, "`init_scale` must be a finite number above 0; got 0"),
        ("mlp", ROWS, {"init_scale": float("inf")}, "`init_scale` must be a finite .* got inf"),
        ("residual-mlp", ROWS, {"blocks": True}, "`blocks` must be a whole number .* got True"),
        ("residual-mlp", ROWS, {"blocks": 0, "norm": 1}, "`norm` must be one of .* got 1"),
        ("cnn", ROWS, {}, "`inputs` must be images .* got \\(12,\\)"),
        ("cnn", IMAGES, {"depth": 4}, "`depth` must leave a pixel of an image of 9 x 10 .* got 4"),
        ("cnn", IMAGES, {"activation": None}, "`activation` must be one of .* got None"),
        ("resnet", ROWS, {}, "`inputs` must be images .* got \\(12,\\)"),
        ("resnet", IMAGES, {"depth": 18}, "`depth` must be 6 n \\+ 2 .* got 18"),
        ("resnet", IMAGES, {"depth": 2}, "`depth` must be 6 n \\+ 2 .* got 2"),
        ("resnet", IMAGES, {"width_factor": 0.3}, "`width_factor` must make whole numbers .* got 0.3"),
        ("resnet", IMAGES, {"width_factor": -1}, "`width_factor` must be .* above 0; got -1"),
        ("resnet", IMAGES, {"residual": "no"}, "`residual` must be true or false; got 'no'"),
        ("resnet", IMAGES, {"norm": "group"}, "`norm` must be one of batch, layer, none; got 'group'"),
        ("transformer", ROWS, {}, "`inputs` must be tokens .* got measurements \\(12,\\)"),
        ("transformer", TOKENS, {"heads": 3}, "`heads` must divide `width` = 128; got 3"),
        ("transformer", TOKENS, {"norm": "batch"}, "`norm` must be one of layer, none; got 'batch'"),
        ("rnn", ROWS, {}, "`inputs` must be sequences .* got \\(12,\\)"),
        ("rnn", SERIES, {"readout": "first"}, "`readout` must be one of last, all; got 'first'"),
        ("gru", SERIES, {"recurrent": "identity"}, "`recurrent` must be one of same, .* got 'identity'"),
        ("gru", SERIES, {"recurrent_scale": 0.0}, "`recurrent_scale` must be .* above 0; got 0.0"),
        ("gru", SERIES, {"depth": 2}, "there is no setting `depth`"),
        ("linear-network", ROWS, {"bias": "no"}, "`bias` must be true or false; got 'no'"),
        ("linear-network", ROWS, {"shape": ROWS}, "there is no setting `shape`"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_named_with_its_value(name, shape, settings, message):
    with pytest.raises(LabError, match=f"`{name}`: .*{message}"):
        build(name, shape, settings)


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(LabError, match="`lstm`"):
        build("lstm", ROWS, {})
