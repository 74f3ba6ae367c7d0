"""What columns and names are taken as, and which value counts, beside plain loops over the same cells."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import LabError
from data.importing.limits import Limits
from data.importing.roles import Corrections
from tests.data.importing.importing import planned


def last_counts(rows: list[tuple[int, dict[str, float | None]]]) -> dict[int, dict[str, float]]:
    """Return what counts at each step, cell by cell: the last that holds a value."""
    found: dict[int, dict[str, float]] = {}
    for step, cells in rows:
        at = found.setdefault(step, {})
        at.update({name: value for name, value in cells.items() if value is not None})
    return found


cells = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=64))


def text(value: float | None) -> str:
    return "" if value is None else repr(value)


def same(found: pd.DataFrame, expected: dict[int, dict[str, float]], names: list[str]) -> None:
    assert found["step"].tolist() == sorted(expected)
    for name in names:
        values = [expected[step].get(name) for step in sorted(expected)]
        for ours, theirs in zip(found[name].tolist(), values, strict=True):
            assert (ours != ours and (theirs is None or math.isnan(theirs))) or ours == theirs


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9), cells, cells), min_size=2, max_size=30))
def test_the_last_value_of_a_step_counts_and_a_missing_one_hides_none(tmp_path_factory, table) -> None:
    lines = ["iteration,quality,cost", *(f"{step},{text(a)},{text(b)}" for step, a, b in table)]
    if all(a is None and b is None for _, a, b in table):
        return
    found = planned(tmp_path_factory.mktemp("case"), {"run.csv": "\n".join(lines) + "\n"})
    rows = [(step, {"quality": a, "cost": b}) for step, a, b in table]
    names = [name for name in ("quality", "cost") if any(row[name] is not None for _, row in rows)]
    assert list(found.plan.metrics) == names
    (frame,) = found.rows.values()
    same(frame, last_counts(rows), names)
    counts = [[row[name] for at, row in rows if at == step] for step in range(10) for name in names]
    repeated = sum(max(sum(value is not None for value in one) - 1, 0) for one in counts)
    said = [warning for warning in found.plan.warnings if "the last ones count" in warning]
    assert said == (
        [f"{repeated} values stand at a step that was written before; the last ones count."]
        if repeated
        else []
    )


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["a/b", "loss", "x y"]), st.integers(0, 5), st.floats(-1e9, 1e9)),
        min_size=1, max_size=30,
    )
)  # fmt: skip
def test_a_long_table_becomes_wide(tmp_path_factory, table) -> None:
    lines = ["metric,step,value", *(f"{name},{step},{value!r}" for name, step, value in table)]
    found = planned(tmp_path_factory.mktemp("case"), {"run.csv": "\n".join(lines) + "\n"})
    names = list(dict.fromkeys(name for name, _, _ in table))
    assert list(found.plan.metrics) == names
    (frame,) = found.rows.values()
    same(frame, last_counts([(step, {name: value}) for name, step, value in table]), names)


def test_runs_arms_and_seeds_of_columns(tmp_path: Path) -> None:
    lines = ["step,seed,optimizer,loss"]
    lines += [
        f"{step},{seed},{arm},{seed + step}"
        for arm in ("sgd", "adam")
        for seed in (3, 5)
        for step in range(4)
    ]
    found = planned(tmp_path, {"all.csv": "\n".join(lines)})
    assert [(run.arm, run.seed, run.rows) for run in found.plan.runs] == [
        ("sgd", 3, 4), ("sgd", 5, 4), ("adam", 3, 4), ("adam", 5, 4),
    ]  # fmt: skip
    assert [frame["loss"].tolist() for frame in found.rows.values()] == [[3, 4, 5, 6], [5, 6, 7, 8]] * 2
    assert list(found.plan.metrics) == ["loss"]


def test_a_run_column_and_corrections(tmp_path: Path) -> None:
    lines = [
        "it,name of run,loss,val",
        *(f"{step},{run},{step},{-step}" for run in ("x", "y") for step in range(3)),
    ]
    said = Corrections.parse(["step=it", "run=name of run", "test_loss=val"], ["y=B:7", "x=A:2"])
    found = planned(tmp_path, {"all.csv": "\n".join(lines)}, said)
    assert [(run.name, run.arm, run.seed) for run in found.plan.runs] == [("x", "A", 2), ("y", "B", 7)]
    assert found.plan.metrics == {"loss": "loss", "val": "test_loss"}
    assert found.rows["y"]["test_loss"].tolist() == [0, -1, -2]


def test_seeds_of_file_and_folder_names(tmp_path: Path) -> None:
    content = "step,loss\n0,1\n1,2\n"
    found = planned(
        tmp_path, {f"logs/{arm}/seed_{seed}/metrics.csv": content for arm in ("SS", "RR") for seed in (0, 4)}
    )
    assert [(run.arm, run.seed) for run in found.plan.runs] == [("RR", 0), ("RR", 4), ("SS", 0), ("SS", 4)]


def test_parts_of_one_run_are_joined_and_doubles_are_numbered(tmp_path: Path) -> None:
    found = planned(tmp_path, {
        "logs/run_1/progress.csv": "step,loss\n0,1\n1,2\n",
        "logs/run_1/history.csv": "step,accuracy\n1,0.5\n2,0.75\n",
        "logs/run_2/progress.csv": "step,loss\n0,5\n",
        "logs/run_2/results.csv": "step,loss\n0,6\n",
    })  # fmt: skip
    assert [(run.arm, run.seed, run.rows) for run in found.plan.runs] == [
        ("all", 1, 3),
        ("all", 2, 1),
        ("all", 0, 1),
    ]
    joined = found.rows["run_1"]
    assert joined["loss"].tolist()[:2] == [1, 2]
    assert joined["accuracy"].tolist()[1:] == [0.5, 0.75]
    assert any("given the arm's next free seed" in warning for warning in found.plan.warnings)


def test_steps_of_epochs_of_rows_and_of_neither(tmp_path: Path) -> None:
    found = planned(tmp_path, {
        "epochs.csv": "epoch,cost\n0,1\n1,2\n",
        "batches.csv": "epoch,batch loss\n0,1\n0,2\n1,3\n",
        "rows.csv": "cost of it\n7\n8\n9\n",
    })  # fmt: skip
    steps = {name: frame["step"].tolist() for name, frame in found.rows.items()}
    assert steps == {"epochs": [0, 1], "batches": [0, 1, 2], "rows": [0, 1, 2]}
    assert found.rows["batches"]["epoch"].tolist() == [0, 0, 1]
    assert sum("counts as the step" in warning for warning in found.plan.warnings) == 1
    assert sum("Rows are counted as steps" in warning for warning in found.plan.warnings) == 2


def test_times_become_seconds_and_a_start_in_utc(tmp_path: Path) -> None:
    found = planned(tmp_path, {
        "seed_0.csv": "step,loss,timestamp\n0,1,2024-05-01T12:00:00+02:00\n1,1,2024-05-01T12:01:00+02:00\n",
        "seed_1.csv": "step,loss,timestamp\n0,1,1714557600.5\n1,1,1714557601.0\n",
        "seed_2.csv": "step,loss,timestamp\n0,1,1714557600500\n1,1,1714557601000\n",
    })  # fmt: skip
    assert [run.started.isoformat() for run in found.plan.runs if run.started] == [
        "2024-05-01T10:00:00+00:00", "2024-05-01T10:00:00.500000+00:00", "2024-05-01T10:00:00.500000+00:00",
    ]  # fmt: skip
    assert [frame["seconds"].tolist() for frame in found.rows.values()] == [[0, 60], [0, 0.5], [0, 0.5]]


def test_text_among_numbers_is_missing_and_said_with_its_place(tmp_path: Path) -> None:
    found = planned(tmp_path, {"a.csv": "step,loss,acc\n0,1,none\n1,oops,0.5\n2,3,NA\n"})
    (frame,) = found.rows.values()
    assert np.isnan(frame["loss"][1])
    assert (
        "1 cells of `loss` are no numbers and count as missing: first 'oops' in line 3 of `a.csv`."
        in found.plan.warnings
    )
    assert not any("acc" in warning for warning in found.plan.warnings)


def test_rows_without_a_whole_step_are_left_out_and_steps_put_in_order(tmp_path: Path) -> None:
    found = planned(tmp_path, {"a.csv": "step,loss\n5,1\n,2\n3,4\nnan,9\n"}, Corrections.parse(["step=step"]))
    (frame,) = found.rows.values()
    assert frame["step"].tolist() == [3, 5]
    assert "2 rows without a whole number as their step are left out." in found.plan.warnings
    assert "Steps go back 1 times within a run; rows were put in order." in found.plan.warnings


@pytest.mark.parametrize(
    ("losses", "at", "what"),
    [
        ("1,2,nan,nan", 2, "loss is nan"),
        ("1,inf,2,inf", 3, "loss is inf"),
        ("nan,1,nan,2,nan", None, None),  # NaN between values means: not measured
        ("nan,nan", 0, "loss is nan"),
        ("1,,2,", None, None),
    ],
)
def test_a_loss_that_never_comes_back_diverged(tmp_path: Path, losses: str, at, what) -> None:
    lines = ["step,loss", *(f"{step},{value}" for step, value in enumerate(losses.split(",")))]
    (run,) = planned(tmp_path, {"a.csv": "\n".join(lines) + "\n"}).plan.runs
    assert (run.diverged_at, run.diverged_what) == (at, what)


def test_names_that_the_store_cannot_have_are_changed(tmp_path: Path) -> None:
    found = planned(tmp_path, {"a.csv": 'step,value,Loss,loss,"a""b\'c;drop table",m0\n0,1,2,3,4,5\n'})
    assert list(found.plan.metrics.values()) == ["value_", "Loss", "loss (2)", "a\"b'c;drop table", "m0"]
    (frame,) = found.rows.values()
    assert frame.iloc[0, 3:].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["step=nothing"], "No file has a column `nothing`"),
        (["step=note"], "`note` cannot be `step`: it holds text"),
        (["step=loss"], "`loss` cannot be `step`: not all its numbers are whole"),
        (["step=step", "step=loss"], "Both `step` and `loss` are `step`"),
        (["skip=loss"], "holds numbers to draw"),
        (["loss"], "does not map a column once"),
        (["step=a", "epoch=a"], "does not map a column once"),
    ],
)
def test_a_correction_that_cannot_be_is_refused(tmp_path: Path, said: list[str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        planned(tmp_path, {"a.csv": "step,loss,note\n0,1.5,hi\n1,2.5,ho\n"}, Corrections.parse(said))


@pytest.mark.parametrize("word", ["A", "A=", "=A:1", "a=A:x", "a=:1"])
def test_a_run_is_corrected_by_arm_and_seed(word: str) -> None:
    with pytest.raises(LabError, match="gives no arm and seed"):
        Corrections.parse([], [word])


def test_unknown_runs_and_doubled_seeds_are_refused(tmp_path: Path) -> None:
    files = {"a.csv": "step,loss\n0,1\n", "b.csv": "step,loss\n0,1\n"}
    with pytest.raises(LabError, match="No run is called `c`"):
        planned(tmp_path / "1", files, Corrections.parse([], ["c=A:1"]))
    with pytest.raises(LabError, match="not the only run of arm `A` with seed 1"):
        planned(tmp_path / "2", files, Corrections.parse([], ["a=A:1", "b=A:1"]))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(rows=3), "past 3 rows"),
        (Limits(columns=1), "it has 2 columns"),
        (Limits(runs=1), "There are 2 runs"),
        (Limits(name=3), "name of column `step"),
    ],
)
def test_limits_are_named(tmp_path: Path, limits: Limits, message: str) -> None:
    content = "step,loss\n0,1\n1,2\n"
    with pytest.raises(LabError, match=message):
        planned(tmp_path, {"a.csv": content, "b.csv": content}, limits=limits)


def test_seeds_that_are_no_whole_numbers_count_as_unknown(tmp_path: Path) -> None:
    lines = "seed,step,loss\n4,0,1\nnan,0,2\ninf,1,3\n1e300,2,4\n"
    found = planned(tmp_path, {"a.csv": lines})
    assert [(run.seed, run.rows) for run in found.plan.runs] == [(4, 1), (0, 3)]


def test_runs_and_arms_are_called_as_they_are_written(tmp_path: Path) -> None:
    lines = "run,condition,step,loss\n007,none,0,1\n7,True,0,2\n1e3,False,0,3\n1000,2.0,0,4\n"
    found = planned(tmp_path, {"a.csv": lines})
    assert [(run.name, run.arm, run.finals["loss"]) for run in found.plan.runs] == [
        ("007/none", "none", 1.0), ("7/True", "True", 2.0), ("1e3/False", "False", 3.0), ("1000/2", "2", 4.0),
    ]  # fmt: skip


def test_a_long_table_keeps_what_stands_beside_it_and_names_of_digits(tmp_path: Path) -> None:
    lines = "run,step,metric,value,loss\na,0,loss,1,\na,1,loss,2,\na,1,acc,3,9\na,1,5,4,\na,1,top,5,\n"
    (rows,) = planned(tmp_path, {"a.csv": lines}).rows.values()
    assert rows[["loss", "acc", "5", "top"]].fillna(-1).values.tolist() == [[1, -1, -1, -1], [2, 3, 4, 5]]


def test_rows_of_a_long_table_without_steps_are_counted_metric_by_metric(tmp_path: Path) -> None:
    lines = "metric,value\nloss,1\nacc,2\nloss,3\nacc,4\n"
    (rows,) = planned(tmp_path, {"a.csv": lines}).rows.values()
    assert rows[["step", "loss", "acc"]].values.tolist() == [[0, 1, 2], [1, 3, 4]]


def test_a_validation_loss_makes_no_long_table(tmp_path: Path) -> None:
    lines = "name,step,train,val\nsgd,0,1,2\nsgd,1,3,4\nadam,0,5,6\n"
    found = planned(tmp_path, {"a.csv": lines})
    assert list(found.plan.metrics) == ["train", "val"]


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e6, 1e9])
def test_moments_in_seconds_down_to_nanoseconds(tmp_path: Path, unit: float) -> None:
    lines = "".join(f"{(1_700_000_000 + 2 * step) * unit:.0f},{step},1\n" for step in range(3))
    found = planned(tmp_path, {"a.csv": f"timestamp,step,loss\n{lines}"})
    (run,) = found.plan.runs
    assert run.started is not None
    assert run.started.timestamp() == 1_700_000_000
    assert found.rows["a"]["seconds"].tolist() == [0, 2, 4]


def test_moments_that_nobody_understands_are_said(tmp_path: Path) -> None:
    lines = "timestamp,step,loss\n13/02/2024 10:00,0,1\n2024-02-14 10:00:00,1,2\n"
    found = planned(tmp_path, {"a.csv": lines})
    assert any("1 cells of `timestamp` are no moments" in one for one in found.plan.warnings)


def test_steps_that_begin_anew_in_every_epoch_are_counted_on(tmp_path: Path) -> None:
    lines = "epoch,batch,loss\n" + "".join(f"{e},{b},{10 * e + b}\n" for e in range(3) for b in range(4))
    found = planned(tmp_path, {"a.csv": lines})
    assert found.rows["a"][["step", "loss"]].values.tolist() == [
        [4 * e + b, 10 * e + b] for e in range(3) for b in range(4)
    ]
    assert any("`batch` begins anew in every epoch" in one for one in found.plan.warnings)


def test_a_column_that_somebody_calls_the_step_is_it(tmp_path: Path) -> None:
    lines = "epoch,batch,loss\n" + "".join(f"{e},{b},{10 * e + b}\n" for e in range(3) for b in range(4))
    found = planned(tmp_path, {"a.csv": lines}, Corrections(roles={"batch": "step"}))
    assert found.rows["a"]["step"].tolist() == [0, 1, 2, 3]


def test_a_step_beyond_what_a_double_tells_apart_is_none(tmp_path: Path) -> None:
    found = planned(tmp_path, {"a.csv": "step,loss\n1,1\n9007199254740993,2\n"})
    assert found.rows["a"]["step"].tolist() == [1]
    assert any("1 rows without a whole number" in one for one in found.plan.warnings)


def test_a_name_in_a_long_table_has_a_limit_too(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="10,000 characters"):
        planned(tmp_path, {"a.csv": f"step,metric,value\n0,{'x' * 10_000},1\n1,loss,2\n"})


def test_the_last_row_of_a_step_counts_in_a_file_of_many_threads(tmp_path: Path) -> None:
    count = 300_000  # rows: three row groups of DuckDB
    numbers = np.arange(count)
    frame = pd.DataFrame({"step": numbers // 5, "loss": numbers})
    found = planned(tmp_path, {"a.csv": frame.to_csv(index=False)})
    assert found.rows["a"]["loss"].tolist() == list(range(4, count, 5))


def test_a_seed_that_no_catalogue_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="gives no arm and seed"):
        Corrections.parse([], ["x=A:9999999999999999999"])
    meta = "run_id: a\nrun_name: x\n"
    files = {"m/abc/meta.yaml": meta, "m/abc/metrics/loss": "1 1.0 0\n", "m/abc/params/seed": "9" * 30}
    assert [run.seed for run in planned(tmp_path, files).plan.runs] == [0]


@pytest.mark.parametrize(("seed", "found"), [("5", 5), ("5.0", 5), ("5.5", 0), ("five", 0)])
def test_parameters_tell_arm_and_seed(tmp_path: Path, seed: str, found: int) -> None:
    run = f"mlruns/1/{0:032x}"
    plan = planned(tmp_path, {
        f"{run}/meta.yaml": "run_id: a\nrun_name: careful-owl\nstart_time: 1700000000000\n",
        f"{run}/metrics/loss": "1700000000100 1.0 0\n",
        f"{run}/params/seed": seed,
        f"{run}/params/arm": "SS",
    }).plan  # fmt: skip
    assert [(one.arm, one.seed) for one in plan.runs] == [("SS", found)]
