"""The loss of each task, example by example, for one replica; ``vmap`` carries it over many."""

from jaxtyping import Bool, Float, Num
from torch import Tensor
from torch.nn import functional

from engine.tasks import Task


def losses(
    task: Task, outputs: Float[Tensor, "examples *output"], targets: Num[Tensor, "examples *target"]
) -> Float[Tensor, " examples"]:
    """Return the loss of every example.

    Args:
        task: ``classes``: cross-entropy in nats. ``signs``: logistic loss log(1 + exp(-y f)) in nats.
            ``values``: squared error summed over the last axis and averaged over any axes before it.
        outputs: what the model says of each example.
        targets: of the same examples.
    """
    if task == "classes":
        # functional.cross_entropy would look for labels to ignore: 17 of the 231 operations of a step.
        return -functional.log_softmax(outputs, 1).gather(1, targets[:, None])[:, 0]
    if task == "signs":
        return functional.softplus(-targets * outputs[:, 0])
    squares = (outputs - targets).square().sum(-1)
    return squares.flatten(1).mean(1) if squares.ndim > 1 else squares


def correct(
    task: Task, outputs: Float[Tensor, "examples *output"], targets: Num[Tensor, "examples *target"]
) -> Bool[Tensor, " examples"]:
    """Return which examples are classified correctly.

    Raises:
        ValueError: the task has no classes.
    """
    if task == "classes":
        return outputs.argmax(1) == targets
    if task == "signs":
        return outputs[:, 0] * targets > 0
    raise ValueError(f"`task` must be classes or signs; got {task}.")
