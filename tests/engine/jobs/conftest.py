from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.store import Store, open_store
from tests.engine.jobs.resuming import TINY, begin, finished, go_on
from tests.engine.recording import recorded_at_once, recorded_late  # noqa: F401  # fixtures


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "lab", create=True)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = open_store(tmp_path_factory.mktemp("uninterrupted") / "lab", create=True)
    with pytest.MonkeyPatch.context() as patch:
        assert go_on(store, begin(store, TINY, patch), lambda step: False) == "done"
    told = finished(store)
    store.close()
    return told
