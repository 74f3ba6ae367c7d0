import numpy as np
import pytest

from data.errors import LabError
from engine.datasets import dataset


def test_without_noise_a_linear_map_explains_every_target_of_both_parts():
    split = dataset("gaussian-regression").load(outputs=2)
    teacher, residual, rank, _ = np.linalg.lstsq(split.train_inputs, split.train_targets, rcond=None)
    assert rank == 10
    assert residual == pytest.approx([0, 0], abs=1e-20)
    assert split.test_inputs @ teacher == pytest.approx(split.test_targets)


def test_noise_has_the_deviation_asked_for_and_leaves_the_inputs():
    quiet, noisy = (dataset("gaussian-regression").load(rows=5000, noise=noise) for noise in (0.0, 0.3))
    assert (quiet.train_inputs == noisy.train_inputs).all()
    assert (noisy.train_targets - quiet.train_targets).std() == pytest.approx(0.3, rel=0.05)


def test_inputs_and_teacher_are_of_the_variance_stated():
    split = dataset("gaussian-regression").load(rows=5000, features=200)
    assert split.train_inputs.mean() == pytest.approx(0, abs=0.005)
    assert split.train_inputs.var() == pytest.approx(1, rel=0.01)
    assert np.corrcoef(split.train_inputs[:, 0], split.train_inputs[:, 1])[0, 1] == pytest.approx(0, abs=0.05)
    assert split.train_targets.var() == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize("condition", [1.0, 7.0, 1e4])
def test_the_condition_number_is_the_one_asked_for(condition):
    split = dataset("gaussian-regression").load(condition=condition, test_rows=20_000)
    eigenvalues = np.linalg.eigvalsh(split.train_inputs.T @ split.train_inputs / 64)
    assert eigenvalues == pytest.approx(condition ** -np.linspace(1, 0, 10))
    moments = split.test_inputs.T @ split.test_inputs / 20_000
    assert np.linalg.norm(moments - split.train_inputs.T @ split.train_inputs / 64) < 0.1


def test_with_condition_one_the_design_is_orthonormal():
    inputs = dataset("gaussian-regression").load(condition=1.0).train_inputs
    assert inputs.T @ inputs / 64 == pytest.approx(np.eye(10), abs=1e-12)


def test_a_condition_needs_as_many_rows_as_features():
    with pytest.raises(LabError, match="`rows` must be at least `features` = 10 with a `condition`; got 9"):
        dataset("gaussian-regression").load(rows=9, condition=2.0)


def test_one_plane_through_the_origin_separates_the_teachers_labels_in_both_parts():
    split = dataset("gaussian-teacher").load(rows=400)
    w = np.zeros(16)
    inputs = np.vstack([split.train_inputs, split.test_inputs])
    signs = np.concatenate([split.train_targets, split.test_targets])
    for _ in range(20_000):  # the perceptron ends on separable data
        wrong = np.flatnonzero(signs * (inputs @ w) <= 0)
        if not len(wrong):
            break
        w += signs[wrong[0]] * inputs[wrong[0]]
    assert (np.sign(inputs @ w) == signs).all()
    assert 0.3 < (signs == 1).mean() < 0.7
