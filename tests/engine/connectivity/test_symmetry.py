"""Symmetries read off networks: the groups that the structure says, and outputs that stay as they are."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.connectivity import Axis, Factor, Symmetry, check_invariance, match, symmetry
from engine.connectivity import invariance as invariance_module
from engine.datasets import Shape
from engine.models import build, models

ROWS = Shape(100, (12,), 5, "classes")
IMAGES = Shape(100, (3, 9, 10), 5, "classes")
TOKENS = Shape(100, (3,), 7, "classes", 8)
SERIES = Shape(100, (6, 2), 3, "values")

CASES = [
    ("linear-network", ROWS, {"width": 7, "depth": 2}, [7, 7]),
    ("linear-network", ROWS, {"depth": 0, "normalize_inputs": True, "eps": 0.0}, []),
    ("linear-network", IMAGES, {"width": 4, "depth": 1, "norm": "none"}, [4]),
    ("mlp", ROWS, {"width": 7, "norm": "batch", "activation": "tanh"}, [7, 7]),
    ("mlp", ROWS, {"width": 7, "norm": "layer", "activation": "gelu"}, [7, 7]),
    ("mlp", ROWS, {"width": 7, "depth": 3}, [7, 7, 7]),
    ("residual-mlp", ROWS, {"width": 7, "norm": "batch"}, [7, 7, 7]),
    ("residual-mlp", ROWS, {"width": 7, "norm": "layer", "blocks": 3}, [7, 7, 7, 7]),
    ("cnn", IMAGES, {"width": 3, "depth": 3}, [3, 6, 12]),
    ("cnn", IMAGES, {"width": 3, "norm": "layer", "activation": "gelu"}, [3, 6]),
    ("resnet", IMAGES, {"depth": 8, "width_factor": 0.25}, [4, 4, 8, 8, 16, 16]),
    ("resnet", IMAGES, {"depth": 8, "width_factor": 0.25, "norm": "layer"}, [4, 4, 8, 8, 16, 16]),
    ("resnet", IMAGES, {"depth": 8, "width_factor": 0.25, "residual": False}, [4, 4, 4, 8, 8, 16, 16]),
    ("transformer", TOKENS, {"width": 8, "heads": 2, "hidden": 11}, [8, 2, 4, 4, 11]),
    ("transformer", TOKENS, {"width": 8, "heads": 2, "norm": "layer", "hidden": 11}, [8, 2, 4, 4, 11]),
    ("rnn", SERIES, {"width": 7, "readout": "all"}, [7]),
    ("gru", SERIES, {"width": 7}, [7]),
]


def examples(shape):
    torch.manual_seed(1)
    if shape.tokens is not None:
        return torch.randint(0, shape.tokens, (4, *shape.inputs))
    return torch.randn(4, *shape.inputs)


def test_every_model_is_among_the_cases():
    assert {name for name, *_ in CASES} == set(models())


@pytest.mark.parametrize(("name", "shape", "settings", "sizes"), CASES, ids=str)
def test_the_groups_are_those_of_the_structure_and_leave_the_outputs(name, shape, settings, sizes):
    torch.manual_seed(0)
    model = build(name, shape, settings)
    found = symmetry(model, examples(shape))
    assert list(found.groups.values()) == sizes
    assert not found.notes
    assert set(found.axes) == set(model.state_dict())
    for seed in range(2):
        assert check_invariance(model, examples(shape), found, seed) < 1e-12


def test_a_resnet_of_20_layers_has_the_12_groups_of_the_specification_written_by_hand():
    # Ainsworth et al. 2022, resnet20_permutation_spec: three streams, and one group inside each block.
    found = symmetry(build("resnet", IMAGES, {"width_factor": 0.25}), examples(IMAGES))
    assert len(found.groups) == 12
    assert found.axes["blocks.3.shortcut.0.weight"][0].group == found.axes["blocks.5.conv2.weight"][0].group


def test_heads_of_a_transformer_trade_places_and_units_inside_them_do():
    found = symmetry(build("transformer", TOKENS, {"width": 8, "heads": 2, "hidden": 11}), examples(TOKENS))
    assert found.inside == {"query.inside": "query", "value.inside": "query"}
    queries = Axis(((Factor(8, "query", "query.inside"),),))
    values = Axis(((Factor(8, "query", "value.inside"),),))
    assert [found.axes[f"{name}.weight"][0] for name in ("query", "key")] == [queries, queries]
    assert found.axes["value.weight"][0] == found.axes["output.weight"][1] == values


class Applied(nn.Module):
    """Some modules and what is done with them."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self._forward = forward

    def forward(self, inputs):
        return self._forward(self, inputs)


def mixed_heads(net, x):
    x = net.embed(x)
    q, k, v = net.qkv(x).reshape(4, 6, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
    y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return net.head(x + net.out(y.transpose(1, 2).reshape(4, 6, 8)))


def squeezed(net, x):
    x = net.conv(x)
    weights = torch.sigmoid(net.up(functional.relu(net.down(x.mean((2, 3))))))
    return net.head(net.depthwise(net.norm(x * weights[:, :, None, None])).flatten(1))


def dense(net, x):
    first = functional.relu(net.first(x))
    both = torch.cat([first, net.second(first)], 1)
    return net.head(functional.max_pool2d(net.norm(both), 2).flatten(1))


def padded_shortcut(net, x):
    x = net.first(x)
    return net.head((net.second(x) + functional.pad(x, (0, 0, 0, 0, 1, 1))).amax((2, 3)))


def mixer(net, x):
    x = net.embed(x)
    return net.head((x + net.tokens(x.transpose(1, 2)).transpose(1, 2)).mean(1))


def sorted_units(net, x):
    return net.head(net.second(torch.sort(net.first(x))[0]))


def head_gates(net, x):
    return net.head(torch.tanh(net.embed(x).view(4, 6, 2, 4).transpose(1, 2) * net.gates).sum(1))


def experts(net, x):
    gates = net.gate(x).softmax(-1)
    hidden = torch.relu(torch.einsum("bti,eih->bteh", x, net.into))
    return torch.einsum("bteh,eho,bte->bto", hidden, net.out, gates)


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.Linear(8, 8), layer, nn.Linear(8, 3))


def tied():
    net = Applied(
        lambda net, x: net.head(torch.tanh(net.inner(net.embed(x))) + net.embed(x)),
        embed=nn.Embedding(8, 6),
        inner=nn.Linear(6, 6),
        head=nn.Linear(6, 8, bias=False),
    )
    net.head.weight = net.embed.weight
    return net


SEQUENCE, IMAGE = Shape(100, (6, 8), 3, "values"), Shape(100, (3, 8, 8), 3, "values")
OTHERS = {
    "fused attention": (
        Applied(
            mixed_heads,
            embed=nn.Linear(8, 8),
            qkv=nn.Linear(8, 24),
            out=nn.Linear(8, 8),
            head=nn.Linear(8, 3),
        ),
        SEQUENCE,
        {"embed": 8, "qkv": 2, "qkv.inside": 4, "qkv.inside.2": 4},
    ),
    "encoder layer": (
        encoder(),
        SEQUENCE,
        {
            "0": 8,
            "1.self_attn.in_proj_weight": 2,
            "1.self_attn.in_proj_weight.inside": 4,
            "1.self_attn.in_proj_weight.inside.2": 4,
            "1.linear1": 16,
        },
    ),
    "lstm": (
        Applied(
            lambda net, x: net.head(net.cell(x)[0]),
            cell=nn.LSTM(8, 5, batch_first=True, bidirectional=True),
            head=nn.Linear(10, 3),
        ),
        SEQUENCE,
        {"cell.weight_ih_l0": 5, "cell.weight_ih_l0_reverse": 5},
    ),
    "group norm, gates, depthwise": (
        Applied(
            squeezed,
            conv=nn.Conv2d(3, 8, 3),
            down=nn.Linear(8, 2),
            up=nn.Linear(2, 8),
            norm=nn.GroupNorm(4, 8),
            depthwise=nn.Conv2d(8, 8, 3, groups=8),
            head=nn.Linear(8 * 16, 3),
        ),
        IMAGE,
        {"conv": 4, "conv.inside": 2, "down": 2},
    ),
    "concatenation": (
        Applied(
            dense,
            first=nn.Conv2d(3, 4, 3, padding=1),
            second=nn.Conv2d(4, 5, 3, padding=1),
            norm=nn.BatchNorm2d(9),
            head=nn.Linear(9 * 16, 3),
        ),
        IMAGE,
        {"first": 4, "second": 5},
    ),
    "padded shortcut": (
        Applied(
            padded_shortcut,
            first=nn.Conv2d(3, 4, 1),
            second=nn.Conv2d(4, 6, 3, padding=1),
            head=nn.Linear(6, 3),
        ),
        IMAGE,
        {"first": 4},
    ),
    "pixel shuffle": (
        nn.Sequential(
            nn.Conv2d(3, 8, 3, 2),
            nn.PixelShuffle(2),
            nn.ConvTranspose2d(2, 5, 2, 2),
            nn.InstanceNorm2d(5, affine=True),
            nn.PReLU(5),
            nn.Conv2d(5, 3, 1),
        ),
        IMAGE,
        {"0": 2, "2": 5},
    ),
    "grouped convolution": (
        nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 9, 1, groups=3), nn.Conv2d(9, 3, 1)),
        IMAGE,
        {"0": 3, "0.2": 2, "2.inside": 3},
    ),
    "mixer": (
        Applied(
            mixer,
            embed=nn.Linear(8, 5),
            tokens=nn.Sequential(nn.Linear(6, 10), nn.GELU(), nn.Linear(10, 6)),
            head=nn.Linear(5, 3),
        ),
        SEQUENCE,
        {"embed": 5, "tokens.0": 10},
    ),
    "experts": (
        Applied(
            experts,
            into=nn.Parameter(torch.randn(4, 8, 6)),
            out=nn.Parameter(torch.randn(4, 6, 3)),
            gate=nn.Linear(8, 4),
        ),
        SEQUENCE,
        {"into": 4, "into.2": 6},
    ),
    "weights beside heads": (
        Applied(
            head_gates, embed=nn.Linear(8, 8), gates=nn.Parameter(torch.randn(2, 1, 1)), head=nn.Linear(4, 3)
        ),
        SEQUENCE,
        {"gates": 2, "embed": 4},
    ),
    "tied": (tied(), TOKENS, {"embed": 6}),
    "gated linear units, weight norm": (
        nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(8, 6)), nn.GLU(), nn.RMSNorm(3), nn.Linear(3, 3)
        ),
        SEQUENCE,
        {"0": 3},
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_common_layers_that_no_model_here_has_are_followed(name):
    model, shape, expected = OTHERS[name]
    found = symmetry(model, examples(shape))
    assert not found.notes
    if name == "padded shortcut":  # zeros around the shortcut set its units apart from those beside them
        assert sorted(found.groups.values()) == [4]
    else:
        assert list(found.groups.values()) == list(expected.values())
        assert set(found.groups) == set(expected)
    for seed in range(2):
        assert check_invariance(model, examples(shape), found, seed) < 1e-12


def test_flattening_repeats_a_group_over_positions_and_concatenation_puts_groups_side_by_side():
    model, shape, _ = OTHERS["concatenation"]
    found = symmetry(model, examples(shape))
    assert found.axes["head.weight"][1] == Axis(
        ((Factor(4, "first"), Factor(16)), (Factor(5, "second"), Factor(16)))
    )
    assert found.axes["norm.running_var"] == (Axis(((Factor(4, "first"),), (Factor(5, "second"),))),)
    assert "norm.running_var" not in found.parameters
    assert found.axes["head.weight"][1].group is None
    assert found.axes["head.weight"][1].groups == ("first", "second")


def test_shared_weights_have_the_same_axes_and_count_once():
    found = symmetry(tied(), examples(TOKENS))
    assert found.axes["head.weight"] == found.axes["embed.weight"]
    assert "head.weight" not in found.parameters


def test_an_unknown_operation_fixes_what_reaches_it_and_says_so():
    model = Applied(
        sorted_units,
        first=nn.Linear(8, 6),
        second=nn.Linear(6, 5),
        head=nn.Linear(5, 3),
        idle=nn.Linear(2, 2),
    )
    found = symmetry(model, examples(SEQUENCE))
    assert found.groups == {"second": 5}
    assert found.notes == (
        "`sort` is not understood, so that the units which reach it keep their order: "
        "first.weight, first.bias.",
        "No output depends on idle.weight, idle.bias, which therefore keep their order.",
    )


def test_a_model_whose_operations_depend_on_values_is_refused():
    model = Applied(lambda net, x: net.map(x) if x.sum() > 0 else -net.map(x), map=nn.Linear(8, 3))
    with pytest.raises(ValueError, match=r"`model` must do the same operations on every input .* Applied"):
        symmetry(model, examples(SEQUENCE))
    with pytest.raises(ValueError, match=r"`example` must be a batch that the model takes; got shape \(4, 3"):
        symmetry(model, examples(IMAGES))


def test_tracing_leaves_the_model_as_it_was():
    model = OTHERS["concatenation"][0].train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast = torch.backends.mha.get_fastpath_enabled()
    symmetry(model, examples(IMAGE))
    assert model.training
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_what_is_no_symmetry_is_noticed(monkeypatch):
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    true = symmetry(model, examples(SEQUENCE))
    wrong = Symmetry(true.groups, true.axes | {"0.bias": (Axis(((Factor(6),),)),)}, {}, (), true.parameters)
    assert check_invariance(model, examples(SEQUENCE), true) < 1e-12
    assert check_invariance(model, examples(SEQUENCE), wrong) > 1e-3
    monkeypatch.setattr(invariance_module, "symmetry", lambda model, example: wrong)
    with pytest.raises(ValueError, match="`model` must keep its outputs when its units are reordered"):
        match(model, model.state_dict(), model.state_dict(), examples(SEQUENCE))
