"""One training as several jobs, each with a slice of the seeds, that together give the same rows."""

import dataclasses
import itertools

from data.errors import LabError
from engine.jobs.request import Request


def split(wanted: Request, parts: int) -> list[Request]:
    """Return trainings of neighbouring seeds that together are `wanted`.

    Every replica computes the numbers that it would compute alone; their last bits depend on how many step in
    one stack, and which. With `wanted.stack` the slices are made of whole stacks, and the rows are those of
    the unsplit training to the last bit, on the same kind of device. Without, each job makes its stacks as
    large as fits where it runs, and the rows are the same to rounding.

    Args:
        wanted: the whole.
        parts: how many jobs.

    Raises:
        LabError: there are not that many slices, or the stacks do not come out even.
    """
    unit, seeds = wanted.stack or wanted.study.children, wanted.seeds
    what = f"stacks of {unit}" if wanted.stack else f"families of {unit} seeds" if unit > 1 else "seeds"
    family = wanted.study.children
    if wanted.stack and (len(seeds) % unit or unit % family or seeds.start % family):
        raise LabError(
            "The stacks do not come out even",
            f"{len(seeds)} seeds from {seeds.start}, in families of {family}, make no whole {what}.",
            "Give a --stack that is a multiple of the family and divides the number of seeds.",
        )
    # Families are counted from seed 0, stacks from the first seed of the training.
    before = 0 if wanted.stack else seeds.start % unit
    units = -(-(before + len(seeds)) // unit)
    if not 1 <= parts <= units:
        raise LabError(
            "Too many parts",
            f"`--split` must be 1 to {units}, as there are {units} {what}; got {parts}.",
            "Give fewer parts, or train more seeds.",
        )
    bounds = [max(0, units * part // parts * unit - before) for part in range(parts)] + [len(seeds)]
    return [dataclasses.replace(wanted, seeds=seeds[start:end]) for start, end in itertools.pairwise(bounds)]
