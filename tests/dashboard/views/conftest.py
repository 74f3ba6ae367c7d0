"""Whatever the views' tests draw can be exported and opened again."""

from collections.abc import Iterator
from typing import Any

import pytest

from dashboard import figure
from dashboard.figure_spec import require_harmless
from dashboard.prepared import Prepared
from data.errors import LabError


@pytest.fixture(autouse=True)
def _every_figure_opens_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    draw, refused = figure._draw, list[str]()

    def checked(chart: Any, *others: Any) -> None:
        spec = chart.spec if isinstance(chart, Prepared) else figure._whole(chart)
        try:
            require_harmless(spec)
        except LabError as error:
            refused.append(error.message)
        draw(chart, *others)

    monkeypatch.setattr(figure, "_draw", checked)
    yield
    assert not refused, "dashboard/figure_spec.py does not know what a chart of ours does"
