import pytest

from engine.datasets import datasets
from tests.engine.recording import recorded_at_once, recorded_late  # noqa: F401  # fixtures
from tests.engine.training.toys import TOYS


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, toy in TOYS.items():
        monkeypatch.setitem(datasets(), name, toy)
