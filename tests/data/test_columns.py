"""Names of metrics: those that results carry, and DuckDB itself, are not free."""

import pytest

from data.columns import RESERVED, schema


@pytest.mark.parametrize("name", [*sorted(RESERVED), "RowID", "", "a\0b"])
def test_a_name_that_is_not_free_is_refused(name):
    with pytest.raises(ValueError, match="different names"):
        schema(["loss", name], "float32")


def test_names_differ_by_more_than_case():
    with pytest.raises(ValueError, match="different names"):
        schema(["loss", "Loss"], "float32")
    assert schema(["loss", "accuracy"], "float64").names[-2:] == ["loss", "accuracy"]
