from pathlib import Path

import duckdb
import pandas as pd
import pytest

from engine.cli.main import main
from tests.engine.cli.commandline import STUDY, answer


@pytest.mark.parametrize("suffix", ["csv", "parquet", "duckdb"])
def test_export_writes_tidy_rows(lab: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    told = answer("--store", lab, "export", STUDY, path)
    assert told == {"study": STUDY, "path": str(path), "rows": 8 * 65}
    if suffix == "duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            frame = connection.execute("SELECT * FROM traces").df()
    else:
        frame = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert list(frame.columns[:5]) == ["study", "arm", "seed", "step", "epoch"]
    assert len(frame) == 8 * 65
    keys = list(frame[["arm", "seed", "step"]].itertuples(index=False, name=None))
    assert keys == sorted(keys)
    assert {"batch_loss", "own_batch_risk", "full_batch_risk", "l2"} <= set(frame.columns)


def test_export_refuses_an_unknown_suffix_and_an_unknown_study(lab: Path, tmp_path: Path) -> None:
    for study, name in ((STUDY, "out.xlsx"), ("nope", "out.csv")):
        assert main(["--store", str(lab), "export", study, str(tmp_path / name)]) == 1
    assert list(tmp_path.iterdir()) == []
