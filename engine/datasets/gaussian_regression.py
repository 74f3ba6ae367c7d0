"""Least squares on Gaussian inputs with a linear teacher, of a chosen condition number."""

from typing import Any

import numpy as np
from jaxtyping import Float

from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least, require_setting


def shape(rows: int = 64, features: int = 10, outputs: int = 1, condition: float = 0.0, **_: Any) -> Shape:
    """Describe the task.

    Raises:
        LabError: a setting out of range.
    """
    require_at_least(1, rows=rows, features=features, outputs=outputs)
    require_setting(condition == 0 or 1 <= condition < np.inf, "condition", "0, or at least 1", condition)
    require_setting(
        not condition or rows >= features,
        "rows",
        f"at least `features` = {features} with a `condition`",
        rows,
    )
    return Shape(rows, (features,), outputs, "values")


def load(
    rows: int = 64,
    features: int = 10,
    outputs: int = 1,
    noise: float = 0.0,
    condition: float = 0.0,
    test_rows: int = 256,
    seed: int = 0,
) -> Split:
    """Return X ~ N(0, I) and Y = X W + noise E, with W ~ N(0, 1 / features) and E ~ N(0, 1).

    With `condition` the training rows are scaled along their own principal axes, so that the eigenvalues of
    X^T X / rows run in equal ratios from 1 down to 1 / condition (at condition 1 it is the identity), and
    the test rows follow the same covariance. The Hessian of the mean squared error is twice that matrix.
    Without noise every example is fitted by the same W, and every ordering converges exponentially: a study
    of rates needs noise.

    Args:
        rows: training examples.
        features: length of an example.
        outputs: length of a target.
        noise: standard deviation of what the teacher does not explain.
        condition: condition number of the training rows' second moments; 0 leaves them as drawn.
        test_rows: held-out examples; changing them leaves the training rows as they are.
        seed: of the draw.

    Raises:
        LabError: a setting out of range.
    """
    shape(rows, features, outputs, condition)
    require_at_least(0, test_rows=test_rows, seed=seed)
    require_setting(0 <= noise < np.inf, "noise", "at least 0 and finite", noise)
    teacher_rng, *parts = np.random.default_rng(seed).spawn(3)
    teacher = teacher_rng.standard_normal((features, outputs)) / np.sqrt(features)
    train, test = (
        (rng, rng.standard_normal((count, features)))
        for rng, count in zip(parts, (rows, test_rows), strict=True)
    )
    inputs, held_out = _conditioned(train[1], test[1], condition) if condition else (train[1], test[1])
    targets, held_out_targets = (
        drawn @ teacher + noise * rng.standard_normal((len(drawn), outputs))
        for rng, drawn in ((train[0], inputs), (test[0], held_out))
    )
    return Split(inputs, targets, held_out, held_out_targets)


def _conditioned(
    train: Float[np.ndarray, "examples features"],
    test: Float[np.ndarray, "held_out features"],
    condition: float,
) -> tuple[Float[np.ndarray, "examples features"], Float[np.ndarray, "held_out features"]]:
    """Replace the singular values of the training rows; give the test rows the covariance that results."""
    left, _, axes = np.linalg.svd(train, full_matrices=False)
    deviations = condition ** -np.linspace(0.0, 0.5, len(axes))
    return np.sqrt(len(train)) * (left * deviations) @ axes, (test * deviations) @ axes


DATASET = Dataset(
    title="Gaussian regression",
    source="after the regression experiments of Wu, Yun & Sra 2023: Gaussian inputs, a linear teacher",
    shape=shape,
    load=load,
    settings=defaults(load),
)
