from pathlib import Path

import pytest

from tests.engine.cli.commandline import STUDY, TRAIN, answer
from tests.engine.recording import recorded_at_once, recorded_late  # noqa: F401  # fixtures


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a tiny study in it, as `train` leaves it."""
    root = tmp_path_factory.mktemp("cli") / "lab"
    data = answer("--store", root, *TRAIN)
    assert data.pop("seconds") > 0
    assert data == {"job": 1, "study": STUDY, "status": "done", "runs": 8, "rows": 8 * 65}
    return root
