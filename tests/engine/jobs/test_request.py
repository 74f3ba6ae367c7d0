import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import LabError
from data.store import Store
from engine.jobs.request import measured_seconds, read_seeds, request, require_space


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@given(st.integers(0, 10**6), st.integers(0, 50))
def test_a_range_of_seeds_includes_both_ends(first: int, more: int) -> None:
    assert list(read_seeds(f"{first}..{first + more}")) == list(range(first, first + more + 1))


def test_a_number_of_seeds_starts_at_0() -> None:
    assert list(read_seeds("16")) == list(range(16)) == list(read_seeds("0..15"))


@pytest.mark.parametrize(
    "text",
    [
        "0..",
        "..3",
        "5..2",
        "x",
        "-3",
        "0",
        "",
        "1.5",
        "1...3",
        "1..2..3",
        "٣",
        "1e3",
        "99999999999",
        "0..2147483648",
    ],
)
def test_other_seeds_are_refused_with_the_value_and_the_forms(text: str) -> None:
    with pytest.raises(LabError) as caught:
        read_seeds(text)
    assert repr(text) in caught.value.message
    assert "4..7" in caught.value.remedy


def test_a_request_keeps_the_studys_order_of_arms() -> None:
    wanted = request("digits-shuffling", {"epochs": "2"}, ["RR", "SS", "RR"], "3..4")
    assert wanted.arms == ("SS", "RR")
    assert wanted.study.name == "digits-shuffling@epochs=2"
    assert wanted.spec == {
        "study": "digits-shuffling",
        "overrides": {"epochs": "2"},
        "arms": ["SS", "RR"],
        "seeds": [3, 4],
        "device": "auto",
        "steps": 64,
        "checkpoint_seconds": 30.0,
        "compiled": False,
        "stack": 0,
    }
    assert wanted.runs == 4


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(LabError, match="auto, cpu or cuda"):
        request("digits-shuffling", device="tpu")


def test_a_disk_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = request("digits-shuffling")
    need = wanted.disk_bytes + (100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(need, 0, need))
    require_space(wanted, tmp_path / "not" / "yet")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(need, 1, need - 1))
    with pytest.raises(LabError, match="free"):
        require_space(wanted, tmp_path / "not" / "yet")
    assert not list(tmp_path.iterdir())


def test_the_estimate_of_disk_space_covers_what_the_demo_needs() -> None:
    # 28 bytes of keys and 23 float32 columns for each of 64 x 6401 rows, uncompressed, once.
    assert request("digits-shuffling").disk_bytes > 64 * 6401 * (28 + 23 * 4)


def test_a_trainings_time_is_judged_by_a_finished_one_of_its_size(store: Store) -> None:
    wanted = request("digits-shuffling", seeds="8")
    job = store.catalog.create_job("train", wanted.study.name, wanted.spec)
    assert measured_seconds(wanted, [job]) is None
    began = job.created_at
    done = replace(job, status="done", started_at=began, finished_at=began + timedelta(seconds=50))
    assert measured_seconds(wanted, [done]) == (pytest.approx(50), job.id)
    assert measured_seconds(request("digits-shuffling", seeds="16"), [done]) == (pytest.approx(100), job.id)
    assert measured_seconds(request("digits-shuffling", seeds="17"), [done]) is None
    larger = request("digits-shuffling", seeds="15")
    other = replace(done, id=99, spec=larger.spec, finished_at=began + timedelta(seconds=150))
    assert measured_seconds(request("digits-shuffling", seeds="16"), [done, other]) == (
        pytest.approx(160),
        99,
    )
