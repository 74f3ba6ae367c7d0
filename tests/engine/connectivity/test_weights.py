import numpy as np
import pytest
import torch

from engine.connectivity.weights import as_inputs, checked, mixed, stacked
from tests.engine.connectivity.pairs import as_numpy, pair


def test_networks_get_one_precision_and_stay_as_they_are():
    model, a, b = pair("mlp")
    narrow = {key: value.astype(np.float32) for key, value in as_numpy(b).items()}
    narrow["head.bias"].flags.writeable = False
    one, other = checked(model, a=a, b=narrow)
    assert {value.dtype for value in (one | other).values()} == {torch.float64}
    assert torch.equal(other["head.bias"], b["head.bias"].float().double())


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "nan", "inf"])
def test_names_the_parameter_that_does_not_fit(change):
    model, a, b = pair("mlp")
    match change:
        case "missing":
            del b["head.bias"]
            message = "`b` must have all parameters of `model`; `head.bias` is missing"
        case "unknown":
            b["tail.bias"] = torch.zeros(2)
            message = "`b` must have the parameters of `model` only; it does not have `tail.bias`"
        case "shape":
            b["head.bias"] = torch.zeros(2)
            message = r"`head.bias` is \(5,\); got \(2,\)"
        case _:
            b["head.bias"][1] = float(change)
            message = "`b` must be finite; `head.bias` has 1 entries that are not"
    with pytest.raises(ValueError, match=message):
        checked(model, a=a, b=b)


def test_large_weights_are_finite_though_their_sum_is_not():
    model, a, _ = pair("mlp")
    a["head.weight"] = torch.full_like(a["head.weight"], 1e308)
    assert torch.equal(checked(model, a=a)[0]["head.weight"], a["head.weight"])


def test_mixtures_give_back_the_networks_exactly_and_whole_numbers_are_not_mixed():
    corners = [{"w": torch.randn(3, 2), "n": torch.tensor(one)} for one in (4, 9)]
    found = mixed(stacked(corners), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]]))
    for point in range(2):
        assert torch.equal(found["w"][point], corners[point]["w"])
    torch.testing.assert_close(found["w"][2], 0.25 * corners[0]["w"] + 0.75 * corners[1]["w"])
    assert found["n"].tolist() == [4, 4, 4]


def test_tokens_stay_whole_numbers():
    like = {"w": torch.zeros(2)}
    assert as_inputs(np.array([[1, 2]]), like).dtype == torch.int64
    assert as_inputs(np.array([[1.0, 2.0]]), like).dtype == torch.float32
