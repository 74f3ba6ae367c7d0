import numpy as np
import pytest

from engine.analysis.latent import fit


def test_copies_of_a_run_under_one_group_add_no_certainty() -> None:
    """Arms of one seed share its initial weights: the error of the held-out likelihood counts seeds."""
    generator = np.random.default_rng(3)
    levels = np.repeat([0.0, 3.0], 15)
    once = [levels[:, None] + generator.normal(size=(30, 2)) * (1 + 0.3 * seed) for seed in range(8)]
    single = fit(once, ["a", "b"], n_states=[1, 2], restarts=2, normalize="pooled", groups=range(8))
    four = [run for run in once for _ in range(4)]
    copies = fit(
        four,
        ["a", "b"],
        n_states=[1, 2],
        restarts=2,
        normalize="pooled",
        groups=[seed for seed in range(8) for _ in range(4)],
    )
    for alone, copied in zip(single.table, copies.table, strict=True):
        assert copied.heldout_se == pytest.approx(alone.heldout_se, rel=0.05)
        assert copied.heldout_loglik == pytest.approx(alone.heldout_loglik, rel=0.01)
        assert len(copied.heldout_logliks) == 32
