"""MNIST-1D: ten hand-made signals, padded, shifted, scaled, sheared and blurred with noise."""

from functools import cache

import numpy as np
from jaxtyping import Float, Int

from engine.datasets._dataset import Dataset, Shape, Split

ROWS, TRAIN_ROWS, POINTS = 5000, 4000, 40
SEED = 42
PADDING = (36, 60)
SCALE, SHIFTS, SHEAR = 0.4, 48, 0.75
NOISE, NOISE_WIDTH, FINE_NOISE = 0.25, 2, 0.02
TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)


def load() -> Split:
    """Return the 4,000 training and 1,000 test signals of the published generator at its own settings.

    As published, one mean and one deviation over all 5,000 signals standardize them.
    """
    signals, classes = (part.copy() for part in _signals())
    return Split(signals[:TRAIN_ROWS], classes[:TRAIN_ROWS], signals[TRAIN_ROWS:], classes[TRAIN_ROWS:])


@cache
def _signals() -> tuple[Float[np.ndarray, "examples points"], Int[np.ndarray, " examples"]]:
    from scipy.ndimage import gaussian_filter1d

    # The published data come from NumPy's older generator, drawn in exactly this sequence.
    rng = np.random.RandomState(SEED)
    shapes = TEMPLATES - TEMPLATES.mean(1, keepdims=True)
    shapes /= TEMPLATES.std(1, keepdims=True)
    shapes = (shapes - shapes[:, :1]) / 6 + 1e-8
    low, high = PADDING
    length = len(TEMPLATES[0]) + high
    stretched, wide, shears = np.empty((ROWS, length)), np.empty((2, ROWS, length)), np.empty((ROWS, 1))
    classes = np.repeat(np.arange(10, dtype=np.int64), ROWS // 10)
    for row, digit in enumerate(classes):
        padded = np.append(shapes[digit], np.zeros(low + int(rng.rand() * (high - low + 1))))
        signal = _resampled(padded[None], length)[0] * (1 + SCALE * (rng.rand() - 0.5))
        stretched[row] = np.roll(signal, rng.choice(SHIFTS))
        wide[:, row] = rng.randn(2, length)
        shears[row] = SHEAR * (rng.rand() - 0.5)
    # Blurred noise stands in for the padding, fine noise lies over everything.
    blurred = gaussian_filter1d(NOISE * wide[0], NOISE_WIDTH, axis=1)
    noisy = np.where(stretched != 0, stretched, blurred) + FINE_NOISE * wide[1]
    signals = _resampled(noisy - shears * np.linspace(-0.5, 0.5, length), POINTS)
    order = rng.permutation(ROWS)
    return ((signals - signals.mean()) / signals.std())[order], classes[order]


def _resampled(
    signals: Float[np.ndarray, "examples before"], points: int
) -> Float[np.ndarray, "examples points"]:
    """Interpolate signals linearly at evenly spaced points from end to end."""
    at = np.linspace(0, 1, points)
    known = np.linspace(0, 1, signals.shape[1])
    above = np.searchsorted(known, at).clip(1, signals.shape[1] - 1)
    low, high = signals[:, above - 1], signals[:, above]
    slopes = (high - low) / (known[above] - known[above - 1])
    found: Float[np.ndarray, "examples points"] = slopes * (at - known[above - 1]) + low
    return found


DATASET = Dataset(
    title="MNIST-1D, 40 points",
    source="Greydanus & Kobak 2024: their generator with seed 42, rewritten; their templates (Apache 2.0)",
    shape=lambda: Shape(TRAIN_ROWS, (POINTS,), 10, "classes"),
    load=load,
)
