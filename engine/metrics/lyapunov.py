"""Lyapunov exponent of the training of every replica."""

from engine.metrics._metric import Metric

METRIC = Metric(
    label="Lyapunov exponent",
    unit="per step",
    formula=(
        "(1/T) sum of log(d_t / d_0) over the T steps since the last evaluation; d: distance to a twin that "
        "sees the same batches, pulled back to d_0 = 1e-8 after each step"
    ),
    source="Benettin et al. 1980; of training, Lorraine et al. 2021",
    log=False,
    compute=lambda state: state.twin_growth,
    default=False,
)
