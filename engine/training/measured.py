"""Which metrics a study measures, and when."""

from engine.metrics import metrics
from engine.studies import Study


def measured(study: Study) -> frozenset[str]:
    """Return the metrics that a study measures: default ones and those asked for, but none at cadence 0.

    Raises:
        ValueError: the study names a metric that there is not, or stops a run by one that is never measured.
    """
    known = metrics()
    named = {*study.cadence, *study.stop_below, *study.stop_above}
    if unknown := sorted(named - set(known)):
        raise ValueError(f"A metric must be one of {', '.join(known)}; got {unknown[0]}.")
    for name in (*study.stop_below, *study.stop_above):
        if study.cadence.get(name) == 0:
            raise ValueError(f"`cadence` of {name}, which stops a run, must not be 0 (never); got 0.")
    asked = {name for name in named if study.cadence.get(name, 1)}
    return frozenset(
        asked | {name for name, metric in known.items() if metric.default and study.cadence.get(name, 1)}
    )


def measured_at(study: Study, step: int, last: int) -> frozenset[str]:
    """Return the metrics to measure at an evaluation; at the first and at the last step all of them.

    The last step is told: to ask a study for it may look at a user's files, which may be gone by then.
    """
    names = measured(study)
    if step in (0, last):
        return names
    return frozenset(name for name in names if step % study.cadence.get(name, study.evaluate_every) == 0)
