import numpy as np
import pytest

from engine.analysis.latent import LatentModel, Scaling, decode
from engine.analysis.latent.model import decode_rows, filtered_probabilities, logliks
from engine.analysis.latent.parameters import Parameters


def test_likelihood_paths_and_posteriors_are_those_of_every_path(tiny, enumerated) -> None:
    parameters, runs = tiny
    found = decode_rows(parameters, runs)
    scores = logliks(parameters, runs)
    for index, run in enumerate(runs):
        answer = enumerated(parameters, run)
        assert scores[index] == pytest.approx(answer.loglik, rel=1e-12)
        assert tuple(found.paths[index]) == answer.path
        np.testing.assert_allclose(found.posteriors[index], answer.posterior, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            filtered_probabilities(parameters, run), answer.filtered, rtol=1e-9, atol=1e-12
        )


def test_forbidden_transitions_stay_forbidden(enumerated) -> None:
    parameters = Parameters(
        np.array([1.0, 0.0]), np.array([[0.6, 0.4], [0.0, 1.0]]), np.array([[0.0], [1.0]]), np.ones((2, 1))
    )
    run = np.array([[2.0], [-1.0], [3.0], [-2.0]])
    answer = enumerated(parameters, run)
    np.testing.assert_allclose(filtered_probabilities(parameters, run), answer.filtered, atol=1e-12)
    found = decode_rows(parameters, [run])
    assert tuple(found.paths[0]) == answer.path
    np.testing.assert_allclose(found.posteriors[0], answer.posterior, atol=1e-12)


def model(parameters: Parameters, **scaling) -> LatentModel:
    given = {
        "requested": ("loss", "norm", "flat"),
        "names": ("loss", "norm"),
        "dropped": (),
        "normalize": "pooled",
        "logged": (),
        "centre": np.array([1.0, 2.0]),
        "scale": np.array([2.0, 0.5]),
    }
    return LatentModel(
        len(parameters.startprob),
        parameters.startprob,
        parameters.transmat,
        parameters.means,
        parameters.covars,
        Scaling(**given | scaling),
        [],
        [],
    )


def test_decode_scales_and_cuts_as_the_fit_did(tiny) -> None:
    parameters, runs = tiny
    rows = runs[0]
    raw = np.column_stack([rows[:, 0] * 2 + 1, rows[:, 1] * 0.5 + 2, np.zeros(len(rows))])
    broken = raw.copy()
    broken[3, 2] = np.nan
    found = decode(model(parameters), [raw, broken, broken[3:]])
    expected = decode_rows(parameters, [rows, rows[:3]])
    np.testing.assert_array_equal(found.paths[0], expected.paths[0])
    np.testing.assert_allclose(found.posteriors[1], expected.posteriors[1])
    assert found.paths[2].shape == (0,)
    assert found.posteriors[2].shape == (0, 3)


def test_decode_refuses_other_columns_and_logs_of_nothing(tiny) -> None:
    parameters, runs = tiny
    with pytest.raises(ValueError, match=r"`runs\[0\]` must have one column for each of the 3 metrics"):
        decode(model(parameters), runs)
    with pytest.raises(ValueError, match="`norm` was fitted on a log scale"):
        decode(model(parameters, logged=("norm",)), [np.zeros((4, 3))])
