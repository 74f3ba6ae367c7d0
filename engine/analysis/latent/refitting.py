"""The chosen number of states fitted again to bootstrap samples of the runs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int8, Int16

from engine.analysis.latent.estimation import estimate
from engine.analysis.latent.matching import match
from engine.analysis.latent.model import as_hmmlearn
from engine.analysis.latent.parameters import Parameters
from engine.analysis.latent.preparation import stack
from engine.analysis.latent.processes import Work

Refit = Int8[np.ndarray, " rows"]


@dataclass(frozen=True, eq=False)
class Refitting(Work[int, Refit | None]):
    """What is fitted again; a task is the number of a bootstrap sample.

    Attributes:
        rows: the runs in model units.
        labels: a label per run; runs of one label are drawn together.
        best: where EM starts: the parameters fitted to all runs.
        paths: most probable states of the runs under them.
        seed: of the samples.
    """

    rows: Sequence[Float[np.ndarray, "_ features"]]
    labels: Sequence[Hashable]
    best: Parameters
    paths: Sequence[Int[np.ndarray, " _"]]
    seed: int

    def counts(self, number: int) -> Int16[np.ndarray, " runs"]:
        """Return how often a sample holds each run: as many labels as there are, with replacement."""
        present = list(dict.fromkeys(self.labels))
        drawn = np.random.default_rng([self.seed, 3, number]).integers(len(present), size=len(present))
        times = np.bincount(drawn, minlength=len(present))
        return np.array([times[present.index(label)] for label in self.labels], dtype=np.int16)

    def solve(self, number: int) -> Refit | None:
        """Return the states of all rows of all runs under the model of one sample; None where EM failed.

        EM starts at the best fit, so that what differs is the runs and not the search. States are matched to
        those of the best fit by the rows shared; -1 where none is left.
        """
        counts = self.counts(number)
        X, lengths = stack([run for run, n in zip(self.rows, counts, strict=True) for _ in range(n)])
        found = estimate(X, lengths, self.best).parameters
        if found is None:
            return None
        hmm, n_states = as_hmmlearn(found), len(found.startprob)
        paths = [hmm.decode(run)[1].astype(int) for run in self.rows]
        names = match(paths, self.paths, n_states, n_states).states.astype(np.int8)
        matched: Refit = names[np.concatenate(paths)]
        return matched
