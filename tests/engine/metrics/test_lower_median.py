import numpy as np
import pytest
import torch

from engine.metrics._lower_median import by_sorting, lower_median


@pytest.mark.parametrize("way", [by_sorting, lower_median])
@pytest.mark.parametrize("entries", [1, 2, 5, 8])
def test_the_lower_median_is_the_entry_in_the_middle(way, entries):
    values = torch.randint(4, (50, entries), generator=torch.Generator().manual_seed(entries)).double()
    assert way(values).tolist() == [sorted(row)[(entries - 1) // 2] for row in values.tolist()]


@pytest.mark.parametrize("way", [by_sorting, lower_median])
def test_a_row_with_nan_has_no_median_and_infinity_is_an_entry(way):
    inf, nan = torch.inf, torch.nan
    values = torch.tensor([[1.0, nan, 2.0], [inf, 3.0, -inf], [inf, inf, 0.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(way(values), [nan, 3.0, inf, 2.0])
