from pathlib import Path

from tests.engine.cli.commandline import STUDY, answer


def test_jobs_are_listed(lab: Path) -> None:
    first = answer("--store", lab, "jobs")[-1]
    assert first["job"] == 1
    assert first["study"] == STUDY
    assert first["status"] == "done"
    assert first["step"] == first["steps"] > 0
