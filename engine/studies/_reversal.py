"""The verdict on "lower on its own batches, higher on the full batch, and neither in the control"."""

import numpy as np

from engine.analysis.shuffling import Effect, paired_effect, read
from engine.studies._evidence import Evidence, Values
from engine.studies._verdict import Detail, Verdict, compare, conclude

OWN, FULL = "own_batch_risk", "full_batch_risk"


def reversal(runs: Evidence) -> Verdict:
    """Judge a claim of sign reversal by the study's comparisons, on the last tenth of training.

    In a treatment arm a must end lower than arm b on own-batch risk and higher on full-batch risk; in a
    control the two must end the same on both.

    Source:
        Wu, Yun & Sra 2023.
    """
    details, sentences = list[Detail](), dict[str, str]()
    for item in runs.study.comparisons:
        a, b = item.a, item.b
        own = runs.ends(OWN, a), runs.ends(OWN, b)
        full = runs.ends(FULL, a), runs.ends(FULL, b)
        treated = item.role == "treatment"
        details += [
            compare(f"own-batch risk, {a} / {b}", *own, "below" if treated else "same", item.least_ratio),
            compare(f"full-batch risk, {a} / {b}", *full, "above" if treated else "same", item.least_ratio),
        ]
        reading = read(a, b, _effect(*own), _effect(*full), item.least_ratio)
        sentences.setdefault(reading.sentence, ("" if treated else "Control: ") + reading.sentence)
    return conclude(details, " ".join(sentences.values()), runs.notes)


def _effect(a: Values, b: Values) -> Effect | None:
    usable = (np.isfinite(a) & np.isfinite(b)) & (a > 0) & (b > 0)
    return paired_effect(a[usable], b[usable]) if usable.sum() >= 2 else None
