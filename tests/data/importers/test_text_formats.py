"""Formats of text against files of the tools that write them, and against broken ones."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pytest

from data.errors import LabError
from data.importers import LogFile, _delimited, importers, recognize
from data.importers._importer import HEAD
from tests.data.importers.reading import WRITTEN, read

TEXT = WRITTEN / "text"
STEPS = 12
ALL = np.arange(STEPS)


def loss(steps: Any) -> np.ndarray:
    return 1 / (1 + np.asarray(steps))


def val_loss(steps: Any) -> np.ndarray:
    return 2 / (1 + np.asarray(steps))


def accuracy(steps: Any) -> np.ndarray:
    return np.asarray(steps) / (1 + np.asarray(steps))


class Case(NamedTuple):
    """What a fixture must give: the importer, the fixed roles and whole columns."""

    fixture: str
    importer: str
    roles: dict[str, str]
    columns: dict[str, Any]
    tolerance: float = 0


TRACE = {"step": ALL, "loss": loss(ALL), "accuracy": accuracy(ALL)}
NUMBERED = {f"column {place}": values for place, values in enumerate(TRACE.values(), 1)}
BY_EPOCH = {"epoch": ALL, "loss": loss(ALL), "accuracy": accuracy(ALL), "val_loss": val_loss(ALL)}
YOLO = {
    "epoch": ALL + 1,
    "train/box_loss": loss(ALL),
    "metrics/mAP50(B)": accuracy(ALL),
    "val/box_loss": val_loss(ALL),
}
HISTORY = {"_step": "step", "_runtime": "seconds", "_timestamp": "time"}
CASES = [
    *(
        Case(name, "delimited", {}, TRACE)
        for name in ("pandas.csv", "pandas_german.csv", "pandas_excel.csv", "pandas_utf16.tsv", "polars.csv")
    ),
    Case("pandas_aligned.txt", "delimited", {}, TRACE),
    Case("numpy.txt", "delimited", {}, TRACE),
    Case("pandas_no_header.csv", "delimited", {}, NUMBERED),
    Case("pandas_lines.jsonl", "jsonl", {}, TRACE, 1e-14),
    Case("polars.ndjson", "jsonl", {}, TRACE),
    Case("pandas_records.json", "json-array", {}, TRACE, 1e-14),
    Case("keras_history.json", "json-array", {}, {"loss": loss(ALL), "accuracy": accuracy(ALL)}),
    Case("keras_log.csv", "keras-csv", {"epoch": "epoch"}, BY_EPOCH),
    Case("keras_log_semicolon.csv", "keras-csv", {"epoch": "epoch"}, BY_EPOCH),
    Case(
        "lightning_metrics.csv",
        "lightning-csv",
        {"step": "step", "epoch": "epoch"},
        {"train_loss": loss(ALL), "val_loss": val_loss([4, 8, 12])},
        1e-6,
    ),
    Case("ultralytics_padded.csv", "ultralytics-csv", {"epoch": "epoch"}, YOLO, 1e-4),
    Case("ultralytics_results.csv", "ultralytics-csv", {"epoch": "epoch", "time": "seconds"}, YOLO, 1e-4),
    Case(
        "sb3_progress.csv",
        "baselines-progress",
        {"time/total_timesteps": "step", "time/time_elapsed": "seconds"},
        {
            "time/total_timesteps": 2048 * (ALL + 1),
            "time/time_elapsed": ALL + 1,
            "rollout/ep_rew_mean": accuracy(ALL),
            "train/loss": loss(ALL[1:]),
        },
    ),
    Case(
        "baselines_progress.csv",
        "baselines-progress",
        {"misc/total_timesteps": "step", "misc/time_elapsed": "seconds"},
        {"misc/total_timesteps": 128 * (ALL + 1), "eprewmean": accuracy(ALL), "loss/policy_loss": loss(ALL)},
    ),
    Case(
        "sb3_monitor.csv",
        "baselines-monitor",
        {"step": "step", "t": "seconds"},
        {"l": ALL + 1, "step": np.cumsum(ALL + 1), "r": ALL * (ALL + 1)},
    ),
    Case(
        "run-SS_seed_3-tag-train_loss.csv",
        "tensorboard-csv",
        {"Wall time": "time", "Step": "step"},
        {"Wall time": 1_700_000_000.5 + ALL, "Step": ALL, "train_loss": loss(ALL)},
    ),
    Case(
        "hu_lr0.001_adamw_seed3_scaling1.0.csv",
        "hu-traces-csv",
        {"column 1": "skip", "step": "step"},
        {
            "step": 10 * ALL,
            "l1": loss(ALL),
            "l2": val_loss(ALL),
            "eval_accuracy": accuracy(ALL),
            **dict.fromkeys(["trace", "spectral_norm", "l1_over_l2", "trace_over_spectral_norm"], loss(ALL)),
            **dict.fromkeys(["mean_singular_value", "var_singular_value"], loss(ALL)),
            **dict.fromkeys(["mean_w", "median_w", "var_w", "mean_b", "median_b", "var_b"], loss(ALL)),
        },
    ),
    Case(
        "trainer_state.json",
        "hugging-face-trainer-state",
        {"step": "step", "epoch": "epoch"},
        {
            "loss": loss(ALL + 1),
            "eval_loss": val_loss([4, 8, 12]),
            "train_runtime": [3.5],
            "train_loss": [0.25],
            "step": [1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 12, 12],
        },
    ),
    Case(
        "wandb_history.jsonl",
        "wandb-history",
        HISTORY,
        {"_step": ALL, "loss": loss(ALL), "accuracy": accuracy(ALL), "val/loss": val_loss(ALL)},
    ),
    Case(
        "wandb_history.csv",
        "wandb-history",
        HISTORY | {"column 1": "skip", "weights": "skip"},
        {"_step": ALL, "loss": loss(ALL), "accuracy": accuracy(ALL), "val.loss": val_loss(ALL)},
    ),
    Case(
        "wandb_chart.csv",
        "wandb-history",
        {"Step": "step", "run": "run"},
        {
            "Step": [step for step in ALL for _ in range(2 - step % 2)],
            "run": ["SS - seed 3", "RR - seed 3", "SS - seed 3"] * (STEPS // 2),
            "loss": [of(step) for step in ALL for of in (loss, val_loss)[: 2 - step % 2]],
        },
    ),
    Case(
        "wandb_chart_ranges.csv",
        "wandb-history",
        {"Relative Time (Process)": "seconds", "run": "run"},
        {
            "Relative Time (Process)": ALL * 1.5,
            "run": ["group: SS"] * STEPS,
            "loss": loss(ALL),
            "loss__MIN": loss(ALL) / 2,
            "loss__MAX": loss(ALL) * 2,
            "accuracy": accuracy(ALL),
        },
    ),
]


def test_every_fixture_has_its_case() -> None:
    assert {path.name for path in TEXT.iterdir()} == {case.fixture for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fixture)
def test_a_fixture_is_read_back(case: Case) -> None:
    [(table, frame)] = read(case.importer, TEXT / case.fixture)
    assert dict(table.roles) == case.roles
    assert set(frame.columns) >= set(case.roles)
    for name, values in case.columns.items():
        found = frame[name].dropna()
        if name == "run":
            assert found.tolist() == values
        else:
            np.testing.assert_allclose(pd.to_numeric(found), values, rtol=case.tolerance, atol=0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fixture)
def test_a_fixture_is_of_one_format(case: Case) -> None:
    file = LogFile(case.fixture, TEXT / case.fixture)
    dialects = [name for name, importer in importers().items() if importer.rank and importer.can_read(file)]
    generic = [
        name for name, importer in importers().items() if not importer.rank and importer.can_read(file)
    ]
    assert dialects == ([] if importers()[case.importer].rank == 0 else [case.importer])
    assert len(generic) <= 1
    assert dialects or generic == [case.importer]


def test_the_charts_ranges_are_left_out_where_they_say_nothing() -> None:
    [(_, frame)] = read("wandb-history", TEXT / "wandb_chart.csv")
    assert list(frame.columns) == ["Step", "run", "loss"]
    [(_, frame)] = read("wandb-history", TEXT / "wandb_chart_ranges.csv")
    assert "accuracy__MIN" not in frame.columns


def test_a_chart_tells_runs_of_one_name_apart(tmp_path: Path) -> None:
    names = ["epoch", *[f"same - loss{end}" for end in ("", "__MIN", "__MAX")] * 2]
    path = tmp_path / "chart.csv"
    path.write_text(",".join(names) + "\n1,0.5,0.5,0.5,0.25,0.25,0.25\n")
    [(table, frame)] = read("wandb-history", path)
    assert frame.to_dict("list") == {
        "epoch": ["1", "1"],
        "run": ["same", "same (2)"],
        "loss": ["0.5", "0.25"],
    }
    assert table.roles["epoch"] == "epoch"


def test_a_chart_of_many_runs_has_a_long_header(tmp_path: Path) -> None:
    runs = [f"{'a long name of a run' * 4} {seed}" for seed in range(300)]
    names = ["Step", *[f"{run} - loss{end}" for run in runs for end in ("", "__MIN", "__MAX")]]
    path = tmp_path / "chart.csv"
    path.write_text(",".join(names) + "\n0" + ",0.5" * (len(names) - 1) + "\n")
    assert len(path.read_bytes()) > HEAD
    [(_, frame)] = read("wandb-history", path)
    assert frame["run"].tolist() == runs


def test_histograms_are_left_out_with_a_note() -> None:
    for fixture in ("wandb_history.jsonl", "wandb_history.csv"):
        [(table, frame)] = read("wandb-history", TEXT / fixture)
        assert table.notes == ("Left out, because they are no numbers: `weights`.",)
        assert "weights" not in frame.columns or table.roles["weights"] == "skip"


def test_a_monitor_says_when_and_where(tmp_path: Path) -> None:
    [(table, frame)] = read("baselines-monitor", TEXT / "sb3_monitor.csv")
    said = json.loads((TEXT / "sb3_monitor.csv").read_text().split("\n")[0][1:])
    assert table.facts["started"].timestamp() == pytest.approx(said["t_start"], abs=1e-6)
    assert isinstance(table.facts["started"], datetime)
    assert table.facts["started"].tzinfo is not None
    assert table.facts["config"] == {"env_id": "Counting-v0"}
    assert pd.to_numeric(frame["t"]).is_monotonic_increasing


def test_a_trainer_says_its_settings() -> None:
    [(table, _)] = read("hugging-face-trainer-state", TEXT / "trainer_state.json")
    assert table.facts["config"]["max_steps"] == STEPS
    assert table.facts["config"]["num_train_epochs"] == 3


def test_tensorboards_file_names_run_and_tag(tmp_path: Path) -> None:
    [(table, _)] = read("tensorboard-csv", TEXT / "run-SS_seed_3-tag-train_loss.csv")
    assert table.facts == {"name": "SS_seed_3"}
    other = tmp_path / "download.csv"
    other.write_text("Wall time,Step,Value\n1,2,3\n")
    [(table, frame)] = read("tensorboard-csv", other)
    assert (list(frame.columns), table.facts) == (["Wall time", "Step", "Value"], {})


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "columns", "note"),
    [
        ("a,b\n1,NA\n2,\n", {"a": ["1", "2"], "b": ["NA", None]}, None),
        (" a , b \n 1 , \n 2, 3\n", {"a": ["1", "2"], "b": [None, "3"]}, None),
        ("# from a run\n\n# seed 3\na|b c\n1|2\n", {"a": ["1"], "b c": ["2"]}, None),
        ('# a "quoted" word\na,b\n1,2\n', {"a": ["1"], "b": ["2"]}, None),
        ('a,b\r\n1,"x, ""y""\r\nz"\r\n', {"a": ["1"], "b": ['x, "y"\r\nz']}, None),
        ("a,b\r\n1,2\n3,4\r\n", {"a": ["1", "3"], "b": ["2", "4"]}, None),
        ("a,b\r1,2\r3,4\r", {"a": ["1", "3"], "b": ["2", "4"]}, None),
        ("a,b\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"]}, None),
        ("train loss\n1\n\n3\n", {"train loss": ["1", None, "3"]}, None),
        (",0,1\n0,0.5,0.25\n", {"column 1": ["0"], "0": ["0.5"], "1": ["0.25"]}, None),
        ("step,0,1\n7,0.5,0.25\n", {"step": ["7"], "0": ["0.5"], "1": ["0.25"]}, None),
        ("SS,0,0.5\nSS,1,0.25\n", {"column 1": ["SS", "SS"], "column 2": ["0", "1"]}, "no header"),
        ("Loss,loss\n1,2\n", {"Loss": ["1"], "loss (2)": ["2"]}, "`loss (2)`"),
        ("a;b\n1;0,5\n2;-1,5e-3\n", {"a": ["1", "2"], "b": ["0.5", "-1.5e-3"]}, "decimal comma"),
        ("a;b\n1;1,500\n2;2,000\n", {"b": ["1,500", "2,000"]}, None),
        ("a;b\n1;0.5\n2;1,5\n", {"b": ["0.5", "1,5"]}, None),
        ("a\té\n1\t2\n".encode("latin-1"), {"é": ["2"]}, "Latin-1"),
        ("a,é😀\n1,2\n".encode("utf-16"), {"é😀": ["2"]}, None),
        (b"\xfe\xff" + "a,é😀\n1,2\n".encode("utf-16-be"), {"é😀": ["2"]}, None),
        ('"a"  "b"\n'.replace('"', "") + "  1  0.5\n 10\t2\n", {"a": ["1", "10"], "b": ["0.5", "2"]}, None),
    ],
)
def test_delimited_text(
    tmp_path: Path, content: bytes | str, columns: dict[str, list[str | None]], note: str | None
) -> None:
    path = written(tmp_path, "log.csv", content)
    [(table, frame)] = read("delimited", path)
    found = {name: [None if pd.isna(cell) else cell for cell in frame[name]] for name in columns}
    assert (
        found
        == {
            name: [
                cell and cell.replace("\r\n", "\n") if b"\r" in path.read_bytes() else cell for cell in cells
            ]
            for name, cells in columns.items()
        }
        or found == columns
    )
    assert (note is None and not table.notes) or (note and note in " ".join(table.notes))


def test_lines_are_found_around_blanks_comments_and_quotes(tmp_path: Path) -> None:
    path = written(tmp_path, "log.csv", '# c\n\na,b\n1,"x\ny"\n\n2,z\n')
    [(table, _)] = read("delimited", path)
    assert table.find_line is not None
    assert [table.find_line(place) for place in range(2)] == ["line 4", "line 7"]
    path = written(tmp_path, "log.jsonl", '{"a": 1}\n\n{"a": 2}\n')
    [(table, _)] = read("jsonl", path)
    assert table.find_line is not None
    assert [table.find_line(place) for place in range(2)] == ["line 1", "line 3"]


def test_rewritten_copies_go_with_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(_delimited.tempfile, "tempdir", str(copies))
    file = LogFile("log.csv", written(tmp_path, "log.csv", "a,b\n1,2\n".encode("utf-16")))
    connection = duckdb.connect()
    [table] = importers()["delimited"].read(connection, [file])
    assert len(list(copies.iterdir())) == 1
    assert table.rows.fetchall() == [("1", "2")]
    del table, connection
    assert list(copies.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ('{"a": 1}\n{"b": {"c": NaN, "d": [1, 2]}, "a": 2.5}\n', {"a": [1, 2.5], "b/d": [None, "[1, 2]"]}),
        ('{"a": true}\n{"a": 2}\n{"a": "x"}\n{"a": null}\n', {"a": ["true", "2", "x", None]}),
        ('{"a": Infinity}\n{"a": -Infinity}\n', {"a": [np.inf, -np.inf]}),
        ('{"Loss": 1, "loss": 2}\n{"loss": 3}\n', {"Loss": [1, None], "loss (2)": [2, 3]}),
        ('\ufeff{"a": 1}\n{"a": 2}', {"a": [1, 2]}),
        ('{"a": 1}\n{"a": 2}\n'.encode("utf-16"), {"a": [1, 2]}),
        ('{"a": 1}\n{"a": ' + "1" * 400 + "}\n", {"a": ["1", "1" * 400]}),
        ('{"a": 9223372036854775807}\n{"a": -1}\n', {"a": [9223372036854775807, -1]}),
    ],
)
def test_json_lines(tmp_path: Path, content: bytes | str, columns: dict[str, list[Any]]) -> None:
    [(table, _)] = read("jsonl", written(tmp_path, "log.jsonl", content))
    [table] = importers()["jsonl"].read(duckdb.connect(), [LogFile("log.jsonl", tmp_path / "log.jsonl")])
    found = dict(zip(table.rows.columns, map(list, zip(*table.rows.fetchall(), strict=True)), strict=True))
    assert {name: found[name] for name in columns} == columns


@pytest.mark.parametrize(
    ("content", "columns", "config"),
    [
        ('[{"a": 1},\n {"a": 2, "b": {"c": 3}}]', {"a": [1, 2], "b/c": [None, 3]}, None),
        ('{"lr": 0.1, "log": [{"a": 1}, {"a": 2}], "top": null}', {"a": [1, 2]}, {"lr": 0.1}),
        ('{\n"loss": [1, NaN],\n"acc": [0, 1.5],\n"seed": 3}', {"acc": [0, 1.5]}, {"seed": 3}),
    ],
)
def test_json_documents(tmp_path: Path, content: str, columns: dict[str, list[Any]], config: Any) -> None:
    file = LogFile("log.json", written(tmp_path, "log.json", content))
    assert recognize(file) == "json-array"
    [table] = importers()["json-array"].read(duckdb.connect(), [file])
    found = dict(zip(table.rows.columns, map(list, zip(*table.rows.fetchall(), strict=True)), strict=True))
    assert {name: found[name] for name in columns} == columns
    assert table.facts.get("config") == config


def test_json_is_streamed_across_chunks(tmp_path: Path) -> None:
    rows = [{"step": step, "text": "é" * (step % 7), "loss": 1 / (1 + step)} for step in range(9000)]
    path = written(tmp_path, "log.json", json.dumps(rows))
    [(_, frame)] = read("json-array", path)
    assert frame.to_dict("records") == rows


BROKEN: list[tuple[str, bytes | str, str]] = [
    ("log.csv", "a,b,c,d\n" + "1,2,3,4\n" * 5 + "1,2,3,4,5\n", "line 7 has 5 cells; the header has 4"),
    ("log.csv", "a,b,c\n1,2,3\n4,5", "line 3 has 2 cells; the header has 3"),
    ("log.csv", 'a,b\n1,"x\ny"\n2,z\n3\n', "line 5 has 1 cell; the header has 2"),
    ("log.csv", 'a,b\n1,2\n3,"4\n5,6\n', "line 3 has a quoted cell that does not end"),
    ("log.csv", "a,b\n1,2\n" + "\0" * 40, "line 3 has 1 cell; the header has 2"),
    ("log.csv", "a,b\n", "a header and no rows"),
    ("log.csv", b"a,b\n" + b"1,2\n" * 20_000 + b"1,\xff\n", "line 20002 is not UTF-8 text"),
    ("log.csv", b"a,b\n" + b"1,2\n" * 20_000 + b"1,3\r\n", "its lines end in different ways"),
    ("log.csv", "a,b\n1,2\n1," + "9" * 2_500_000 + "\n", "line 3 is longer than 2 MB"),
    ("log.txt", " a   b\n 1   2\n 3\n 4   5\n 6   7\n", "line 3 has 1 cell; the header has 2"),
    ("log.csv", "Wall time,Step,Value\n1,2\n", "line 2 has 2 cells"),
    ("log.csv", '"Step","r - l","r - l__MIN","r - l__MAX"\n1,2\n', "line 2 has 2 cells"),
    ("log.csv", '#{"t_start": 1e99, "env_id": "x"}\nr,l,t\n1,1,1\n', "not the JSON that Monitor writes"),
    ("log.csv", '#{"t_start": 1\nr,l,t\n1,1,1\n', "not the JSON that Monitor writes"),
    ("log.csv", '#{"t_start": 1}\nr,l,t\n1,1,1\n1,x,2\n', "line 4 has no whole number as `l`, but 'x'"),
    ("log.jsonl", '{"a": 1}\n{"a": 2}\n{"a":', "line 3 is not JSON"),
    ("log.jsonl", '{"a": 1}\n{"a": "\\ud800"}\n', "line 2 has bytes or characters that are no UTF-8"),
    ("log.jsonl", '{"a": 1}\n{"\\ud800": 2}\n', "line 2 has bytes or characters that are no UTF-8"),
    ("log.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', "line 2 has bytes or characters that are no UTF-8"),
    ("log.jsonl", '{"a": 1}\n{"a": ' + "1" * 5000 + "}\n", "line 2 has a number of too many digits"),
    ("log.jsonl", '{"a": 1}\n{"a": ' + "[" * 99_999 + "}\n", "line 2 is nested too deeply"),
    ("log.jsonl", '{"a/b": 1, "a": {"b": 2}}\n{"a": 1}\n', "line 1 has two values for `a/b`"),
    ("log.jsonl", '{"a": 1}\n{"a": 1}\n[1]\n', "line 3 is not an object"),
    ("log.jsonl", "{}\n{}\n", "no rows with values"),
    ("log.jsonl", '{"_step": 1, "_runtime": 2}\n{"_step": 2\n', "line 2 is not JSON"),
    ("log.json", '[{"a": 1},\n {"a": 2, "b":', "line 2 is not JSON"),
    ("log.json", '[{"a": 1}\n{"a": 2}]', "line 2 has `{` instead of `,` or `]`"),
    ("log.json", '[{"a": 1}] x', "line 1 goes on after the end"),
    ("log.json", '[{"a": 1}, 2]', "entry 2 is not an object"),
    ("log.json", "[]", "no rows with values"),
    ("log.json", '[{"a": 1}, {"a": ' + "[" * 99_999, "line 1 is nested too deeply"),
    ("log.json", '[{"a": 1}, {"a": ' + "1" * 5000 + "}]", "line 1 has a number of too many digits"),
    ("log.json", '{"a": [1, 2], "b": [1]}', "`a` has 2, `b` has 1"),
    ("log.json", '{"log": [{"a": 1}], "m": [{"b": 2}]}', "several lists of objects: `log`, `m`"),
    ("log.json", '{"global_step": 3, "log_history": [], "max_steps": 3}', "no rows with values"),
    ("log.json", '{"global_step": 3, "log_history": [{"step": 1},', "is not JSON"),
]


@pytest.mark.parametrize(("name", "content", "said"), BROKEN, ids=[said for _, _, said in BROKEN])
def test_broken_files_are_told(tmp_path: Path, name: str, content: bytes | str, said: str) -> None:
    file = LogFile(name, written(tmp_path, name, content))
    found = recognize(file)
    assert found is not None
    with pytest.raises(LabError) as error:
        list(importers()[found].read(duckdb.connect(), [file]))
    assert said in error.value.message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n \n",
        bytes(range(256)) * 9,
        b"\x80\x04\x95" + b"a,b\n1,2\n" * 9,
        b"PK\x03\x04" + b"1,2\n" * 9,
        b"Hello, world.\nThis, is prose.\n",
        b"lr: 0.1\nmomentum: 0.9\n",
        b"<html>1,2\n3,4</html>\n",
        b'{"lr": 0.1, "layers": ["a"], "seed": 3}',
        b"[1, 2]",
        b"[" * 70_000,
        b'"a,b\n1,2\n',
        b"def f(a, b):\n    return a, b\n",
    ],
)
def test_what_is_no_log_is_not_known(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, "log.csv", content)
    text = ("delimited", "jsonl", "json-array")
    known = [name for name, importer in importers().items() if importer.rank or name in text]
    assert not [name for name in known if importers()[name].can_read(LogFile("log.csv", path))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fixture)
def test_fixtures_cut_anywhere_are_read_or_refused(tmp_path: Path, case: Case) -> None:
    content = (TEXT / case.fixture).read_bytes()
    connection = duckdb.connect()
    for at in range(1, len(content), max(1, len(content) // 8)):
        file = LogFile(case.fixture, written(tmp_path, f"{at}.csv", content[:at]))
        found = recognize(file)
        if found is None:
            continue
        try:
            rows = [table.rows.fetchall() for table in importers()[found].read(connection, [file])]
        except LabError:
            continue
        assert len(rows[0]) <= 2 * STEPS


def test_errors_of_large_files_are_put_into_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_delimited, "CHECKED", 0)
    file = LogFile("log.csv", written(tmp_path, "log.csv", "a,b\n1,2\n3\n"))
    [table] = importers()["delimited"].read(duckdb.connect(), [file])
    with pytest.raises(duckdb.Error) as error:
        table.rows.fetchall()
    assert "line 3 has 1 cell; the header has 2" in _delimited.explained(file, error.value).message
