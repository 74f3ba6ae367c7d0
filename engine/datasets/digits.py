"""The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships."""

import numpy as np

from engine.datasets._dataset import Dataset, Split

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
    return Split(scaled[train], labels[train].astype(np.int64), scaled[test], labels[test].astype(np.int64))


DATASET = Dataset(
    title="Handwritten digits, 8 x 8 pixels",
    source="UCI optical recognition of handwritten digits, as scikit-learn ships it (Alpaydin & Kaynak 1998)",
    train_rows=TRAIN_ROWS,
    features=64,
    classes=10,
    load=load,
)
