"""How many replicas are evaluated together."""

import torch

from engine.at_once import at_once


def test_the_larger_the_inputs_the_fewer_replicas_but_always_one():
    counts = [at_once(torch.zeros(1).expand(rows, 64)) for rows in (1, 64, 4096, 10**9)]
    assert counts == [4096, 64, 1, 1]
    assert at_once(torch.zeros(0, 64)) > 0
