import csv
import io

import duckdb
import pytest

from data.formulas import guarded, guarded_sql
from data.importing.intake import Intake
from data.importing.roles import Corrections
from data.store import open_store

CELLS = ["=1+1", "+2", "-3", "@x", "\tx", "\rx", "|x", "%x", "plain", "a=b", "", "'=x", "é"]


@pytest.mark.parametrize("cell", [*CELLS, -1.5, 0, None])
def test_only_text_that_begins_like_a_formula_is_changed(cell):
    risky = isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r|%")
    assert guarded(cell) == (f"'{cell}" if risky else cell)


def test_sql_guards_the_same_cells():
    found = duckdb.execute(f"SELECT {guarded_sql('x')} FROM (SELECT unnest(?) AS x)", [CELLS]).fetchall()
    assert [row[0] for row in found] == [guarded(cell) for cell in CELLS]


def test_an_exported_csv_holds_no_formula_and_its_numbers_are_untouched(tmp_path):
    store = open_store(tmp_path / "lab", create=True)
    log = "arm,seed,step,=1+1 loss,ok\n=SS,0,1,-0.5,2\n=SS,0,2,-0.25,3\n"
    intake = Intake.receive(store, {"x.csv": io.BytesIO(log.encode())})
    job = store.catalog.create_job("import_logs", "x", {})
    intake.commit(store, job.id, "x", Corrections(), "tests", "0")
    store.traces.export("x", tmp_path / "x.csv")
    store.traces.export("x", tmp_path / "x.parquet")
    store.close()
    header, *rows = csv.reader(io.StringIO((tmp_path / "x.csv").read_text()))
    assert header == ["study", "arm", "seed", "step", "epoch", "seconds", "'=1+1 loss", "ok"]
    assert [(row[1], float(row[6])) for row in rows] == [("'=SS", -0.5), ("'=SS", -0.25)]
    raw = duckdb.read_parquet(str(tmp_path / "x.parquet"))
    assert "=1+1 loss" in raw.columns
    assert {row[1] for row in raw.fetchall()} == {"=SS"}
