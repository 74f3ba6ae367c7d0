"""When a training records its step, which takes as long as hundreds of unrecorded ones."""

from collections.abc import Iterator

import pytest
from torch import Tensor

from engine.training.ensemble import Ensemble, Stacked, Step

_UNRECORDED = 150
_record_at_once = Ensemble._capture


def record_late(self: Ensemble, parameters: Stacked, inputs: Tensor, targets: Tensor) -> Step:
    """Take the first steps of a shape unrecorded; the bits are the same, or `Ensemble` would not record."""
    if self._compiled:
        return _record_at_once(self, parameters, inputs, targets)
    left, recorded = _UNRECORDED, self.transformed

    def step(parameters: Stacked, inputs: Tensor, targets: Tensor) -> tuple[Stacked, Tensor]:
        nonlocal left, recorded
        left -= 1
        if left == 0:
            recorded = _record_at_once(self, parameters, inputs, targets)
        return recorded(parameters, inputs, targets)

    return step


@pytest.fixture(autouse=True, scope="session")
def recorded_late() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ensemble, "_capture", record_late)
        yield


@pytest.fixture
def recorded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ensemble, "_capture", _record_at_once)
