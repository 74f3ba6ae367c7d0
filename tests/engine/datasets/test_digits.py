import pytest
from sklearn.datasets import load_digits

from engine.datasets import dataset


def test_the_split_holds_every_digit_once_standardized_by_its_training_rows():
    split = dataset("digits").load()
    assert split.train_inputs.shape == (1024, 1, 8, 8)
    assert split.train_inputs.mean() == pytest.approx(0, abs=1e-12)
    assert split.train_inputs.std() == pytest.approx(1)
    pixels, labels = load_digits(return_X_y=True)
    scale = (pixels.max() - pixels.min()) / (split.train_inputs.max() - split.train_inputs.min())
    restored = [
        ((row - split.train_inputs.min()) * scale).round().astype(int).tobytes() + bytes([label])
        for rows, names in (
            (split.train_inputs, split.train_targets),
            (split.test_inputs, split.test_targets),
        )
        for row, label in zip(rows, names, strict=True)
    ]
    assert sorted(restored) == sorted(
        row.astype(int).tobytes() + bytes([label]) for row, label in zip(pixels, labels, strict=True)
    )
