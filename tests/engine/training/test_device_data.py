import numpy as np
import pytest
import torch

from engine.training.device_data import DeviceData, noisy
from tests.engine.training.toys import CPU, TOYS, toy


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1.0])
def test_a_share_of_the_labels_becomes_another_class(share):
    labels = np.random.default_rng(0).integers(5, size=400)
    before = labels.copy()
    wrong = noisy(labels, share, 5)
    assert (labels == before).all()
    assert (wrong != labels).sum() == round(share * 400)
    assert set(wrong) <= set(range(5))
    assert (noisy(labels, share, 5) == wrong).all()


def test_wrong_classes_and_rows_are_drawn_uniformly():
    labels = np.full(40_000, 2)
    wrong = noisy(labels, 0.5, 5)
    counts = np.bincount(wrong, minlength=5)[[0, 1, 3, 4]]
    assert ((counts - 5000) ** 2 / 5000).sum() < 25  # chi-square with 3 degrees of freedom: p = 2e-5
    quarters = (wrong != 2).reshape(4, -1).sum(1)
    assert ((quarters - 5000) ** 2 / 2500).sum() < 25


def test_a_smaller_share_is_part_of_a_larger_one():
    labels = np.random.default_rng(0).integers(3, size=300)
    few, many = (noisy(labels, share, 3) != labels for share in (0.1, 0.4))
    assert (many | ~few).all()


def test_a_wrong_sign_is_the_other_one():
    signs = np.where(np.arange(50) % 2, 1.0, -1.0)
    wrong = noisy(signs, 0.3, 1)
    assert (wrong != signs).sum() == 15
    assert set(wrong) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", torch.float32), ("float64", torch.float64), ("bfloat16", torch.float32)],
)
def test_measurements_have_the_studys_precision_and_labels_stay_whole(dtype, expected):
    for name in ("toy-classes", "toy-values", "toy-tokens", "toy-signs"):
        split = TOYS[name].load()
        data = DeviceData.of(toy(dataset=name, dtype=dtype), CPU)
        for got, raw in zip((*data.train, *data.test), split, strict=True):
            assert got.dtype == (torch.long if raw.dtype.kind == "i" else expected)
            np.testing.assert_allclose(got, raw, rtol=1e-6)


def test_only_training_labels_are_noisy():
    split, data = TOYS["toy-classes"].load(), DeviceData.of(toy(label_noise=0.5), CPU)
    assert (data.train[1].numpy() != split.train_targets).sum() == 13
    assert (data.test[1].numpy() == split.test_targets).all()
    assert (data.train[0].numpy() == split.train_inputs).all()
