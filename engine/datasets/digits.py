"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships."""

import numpy as np

from engine.datasets._dataset import Dataset, Shape, Split

TRAIN_ROWS = 1024
SPLIT_SEED = 0


def load() -> Split:
    """Return 1,024 training and 773 test rows, standardized by the training rows' mean and deviation.

    One mean and one deviation over all pixels, so that pixels which are always blank stay constant.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    train, test = order[:TRAIN_ROWS], order[TRAIN_ROWS:]
    scaled = (pixels - pixels[train].mean()) / pixels[train].std()
    images, classes = scaled.reshape(-1, 1, 8, 8), labels.astype(np.int64)
    return Split(images[train], classes[train], images[test], classes[test])


DATASET = Dataset(
    title="Handwritten digits, 8 x 8 pixels",
    source="UCI optical recognition of handwritten digits, as scikit-learn ships it (Alpaydin & Kaynak 1998)",
    shape=lambda: Shape(TRAIN_ROWS, (1, 8, 8), 10, "classes"),
    load=load,
)
