"""What the targets of a data set are, and with it the loss."""

from typing import Literal

Task = Literal["classes", "signs", "values"]
"""``classes``: whole numbers from 0, cross-entropy. ``signs``: -1.0 or 1.0, logistic loss of one output.
``values``: numbers, squared error summed over the last axis."""
