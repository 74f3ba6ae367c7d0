import math

import pytest
import torch
from torch import nn

from engine.datasets import Shape
from engine.models.transformer import Transformer


def reference(model, tokens):
    """Logits at every position, with torch's attention under a causal mask."""
    weights, length, width = dict(model.named_parameters()), tokens.shape[1], model.query.in_features
    attention = nn.MultiheadAttention(width, 4, bias=False, batch_first=True).double()
    names = ("query.weight", "key.weight", "value.weight")
    attention.in_proj_weight.copy_(torch.cat([weights[name] for name in names]))
    attention.out_proj.weight.copy_(weights["output.weight"])

    def normalized(stream, number):
        if f"norm{number}.weight" not in weights:
            return stream
        gamma, beta = weights[f"norm{number}.weight"], weights[f"norm{number}.bias"]
        return nn.functional.layer_norm(stream, (width,), gamma, beta)

    one_hot = nn.functional.one_hot(tokens, len(weights["embedding.weight"])).double()
    stream = one_hot @ weights["embedding.weight"] + weights["position.weight"]
    before = normalized(stream, 1)
    mask = nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.float64)
    stream = stream + attention(before, before, before, attn_mask=mask, need_weights=False)[0]
    hidden = (normalized(stream, 2) @ weights["hidden.weight"].T + weights["hidden.bias"]).relu()
    stream = stream + hidden @ weights["back.weight"].T + weights["back.bias"]
    return normalized(stream, 3) @ weights["unembedding.weight"].T


@pytest.mark.parametrize("norm", ["layer", "none"])
@torch.no_grad()
def test_it_answers_as_a_causal_decoder_does_at_its_last_position(norm):
    model = Transformer(Shape(1, (5,), 7, "classes", 9), width=16, hidden=20, norm=norm).double()
    for parameter in model.parameters():
        parameter.add_(0.5 * torch.randn_like(parameter))
    tokens = torch.randint(0, 9, (6, 5))
    torch.testing.assert_close(model(tokens), reference(model, tokens)[:, -1], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("norm", "count"), [("none", 226_816), ("layer", 226_816 + 3 * 2 * 128)])
def test_parameter_count_for_addition_modulo_113(norm, count):
    # Nanda et al. 2023: width 128, 4 heads, 512 units, 114 tokens in and out.
    model = Transformer(Shape(1, (3,), 114, "classes", 114), norm=norm)
    attention, mlp = 4 * 128 * 128, 2 * 128 * 512 + 512 + 128
    assert 114 * 128 + 3 * 128 + attention + mlp + 128 * 114 == 226_816
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_by_default_weights_are_drawn_as_in_the_source():
    torch.manual_seed(0)
    model = Transformer(Shape(1, (3,), 400, "classes", 114))
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            assert (parameter == 0).all()
        else:
            deviation = 1 / math.sqrt(400 if name == "unembedding.weight" else 128)
            torch.testing.assert_close(parameter.std().item(), deviation, rtol=0.1, atol=0)
