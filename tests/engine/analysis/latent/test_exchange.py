import json

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM

from engine.analysis.latent import (
    decode,
    explain,
    from_hmmlearn,
    from_json,
    from_record,
    model_record,
    to_json,
)
from engine.analysis.latent.preparation import stack

NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture(scope="module", params=["diag", "full", "tied", "spherical"])
def theirs(request, chains):
    runs = chains(3, n_runs=4, n_steps=60).runs
    X, lengths = stack(runs)
    return GaussianHMM(3, covariance_type=request.param, random_state=0).fit(X, lengths), runs


def test_an_imported_fit_decodes_as_hmmlearn_does(theirs) -> None:
    hmm, runs = theirs
    model = from_hmmlearn(hmm, runs, NAMES)
    order = [int(np.argmin(((hmm.means_ - mean) ** 2).sum(axis=1))) for mean in model.means]
    for run, path, posterior in zip(runs, model.paths, model.posteriors, strict=True):
        np.testing.assert_array_equal(np.array(order)[path], hmm.decode(run)[1])
        np.testing.assert_allclose(posterior, hmm.predict_proba(run)[:, order], atol=1e-9)
    firsts = [
        np.mean([np.flatnonzero(p == k)[0] for p in model.paths if k in p] or [np.inf]) for k in range(3)
    ]
    assert firsts == sorted(firsts)
    assert model.normalize == "none"
    assert explain(model, runs)


def test_json_gives_back_the_same_bits(theirs) -> None:
    hmm, runs = theirs
    model = from_hmmlearn(hmm, runs, NAMES)
    text = to_json(*model_record(model))
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    summary, arrays = from_json(text)
    again = from_record(summary, arrays)
    assert again.covariance == model.covariance
    for name in ("startprob", "transmat", "means", "covars"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    for mine, kept in zip(decode(again, runs).paths, model.paths, strict=True):
        np.testing.assert_array_equal(mine, kept)
    assert to_json(summary, arrays) == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covars_": np.stack([np.eye(5), np.eye(5), np.diag([1, 1, 1, 1, -1.0])])}, "positive definite"),
        ({"means_": np.full((3, 5), np.nan)}, "must hold finite numbers"),
        ({"transmat_": np.eye(3) * 0.5}, "`transmat` must hold probabilities"),
        ({"startprob_": np.array([1.5, -0.5, 0.0])}, "`startprob` must hold probabilities"),
    ],
)
def test_refuses_what_hmmlearn_may_end_with(chains, change, message) -> None:
    class Fitted:
        covariance_type = "full"
        startprob_, transmat_ = np.full(3, 1 / 3), np.full((3, 3), 1 / 3)
        means_, covars_ = np.zeros((3, 5)), np.stack([np.eye(5)] * 3)

    hmm = Fitted()
    runs = chains(2, n_runs=2, n_steps=8).runs
    with pytest.raises(ValueError, match="must name the 5 columns of the model; got 4"):
        from_hmmlearn(hmm, runs, NAMES[:4])
    assert from_hmmlearn(hmm, runs, NAMES).n_states == 3
    for name, value in change.items():
        setattr(hmm, name, value)
    with pytest.raises(ValueError, match=message):
        from_hmmlearn(hmm, runs, NAMES)


def test_refuses_what_is_no_fit(chains) -> None:
    with pytest.raises(ValueError, match="GaussianHMM has no startprob_"):
        from_hmmlearn(GaussianHMM(2), chains(2, n_runs=2).runs, NAMES)
    for text, message in (
        ("{", "Expecting"),
        ("[]", "exported by Detour"),
        ('{"format": "detour latent states", "version": 9}', "version 1; got 9"),
        ('{"format": "detour latent states", "version": 1}', "damaged export"),
    ):
        with pytest.raises(ValueError, match=message):
            from_json(text)
