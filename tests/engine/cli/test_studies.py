import os
import subprocess
import sys
from pathlib import Path

from engine.jobs.progress import duration
from engine.studies import studies
from tests.engine.cli.commandline import ROOT, STUDY, answer


def test_studies_are_listed_with_what_is_here(lab: Path, tmp_path: Path) -> None:
    told = answer("--store", lab, "studies")
    demo = next(one for one in told["studies"] if one["study"] == "digits-shuffling")
    assert demo["arms"] == ["SS", "RR", "SS no BN", "RR no BN"]
    expected = studies()["digits-shuffling"].expected_seconds
    assert (demo["seeds"], demo["steps"], demo["expected_seconds"]) == (16, 6400, expected)
    assert told["also_in_store"] == [STUDY]
    process = subprocess.run(
        [sys.executable, "-m", "engine", "studies"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"about {duration(expected)} on 2 cores" in process.stdout
    assert list(tmp_path.iterdir()) == []
