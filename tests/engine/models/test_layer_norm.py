import torch
from torch import nn

from engine.models._layer_norm import ImageLayerNorm, LayerNorm


def test_under_autocast_they_keep_the_precision_of_the_weights():
    for ours, theirs, inputs in (
        (LayerNorm(6), nn.LayerNorm(6), torch.randn(4, 6)),
        (ImageLayerNorm(6), nn.GroupNorm(1, 6), torch.randn(4, 6, 3, 3)),
    ):
        assert torch.equal(ours(inputs), theirs(inputs))
        assert torch.equal(ours(inputs.bfloat16()), theirs(inputs.bfloat16().float()))
