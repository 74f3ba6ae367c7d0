"""The tasks for recurrent networks, against loops."""

import numpy as np
import pytest

from engine.datasets import dataset


def test_the_sum_is_of_the_two_marked_values_one_in_each_half():
    split = dataset("delayed-addition").load(steps=9)
    first, second = set(), set()
    for inputs, targets in (split[:2], split[2:]):
        for sequence, target in zip(inputs, targets, strict=True):
            marked = [step for step in range(9) if sequence[step, 1] == 1]
            assert sorted(sequence[:, 1]) == [0] * 7 + [1, 1]
            assert marked[0] < 4 <= marked[1]
            assert target == pytest.approx([sequence[marked[0], 0] + sequence[marked[1], 0]])
            first.add(marked[0])
            second.add(marked[1])
    assert (first, second) == (set(range(4)), set(range(4, 9)))
    assert split.train_inputs[:, :, 0].min() >= 0
    assert split.train_inputs[:, :, 0].max() < 1
    assert ((split.train_targets - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.1)


def test_the_side_asked_for_is_that_of_all_evidence_seen():
    split = dataset("evidence-accumulation").load(rows=4000, drift=0.5)
    for inputs, signs in (split[:2], split[2:]):
        for sequence, sign in zip(inputs, signs, strict=True):
            total = 0.0
            for (evidence,) in sequence:
                total += evidence
            assert sign == (1 if total > 0 else -1)
    assert (split.train_targets * split.train_inputs.mean((1, 2))).mean() == pytest.approx(0.5, rel=0.05)
    assert split.train_inputs.std(1).mean() == pytest.approx(1, rel=0.05)
    assert (split.train_targets == 1).mean() == pytest.approx(0.5, abs=0.05)


def test_each_bit_holds_its_last_pulse():
    split = dataset("flip-flop").load()
    for inputs, targets in (split[:2], split[2:]):
        for pulses, held in zip(inputs, targets, strict=True):
            bits = [0.0, 0.0, 0.0]
            for step in range(40):
                bits = [pulse or bit for pulse, bit in zip(pulses[step], bits, strict=True)]
                assert bits == held[step].tolist()
    assert set(np.unique(split.train_inputs)) == {-1, 0, 1}
    assert set(np.unique(split.train_targets)) == {-1, 1}
    assert (split.train_inputs[:, 1:] != 0).mean() == pytest.approx(0.1, rel=0.05)
    assert split.train_inputs[:, 1:].sum() == pytest.approx(0, abs=400)
