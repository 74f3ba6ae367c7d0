"""One training as several jobs: which seeds each has, and that their rows are those of one."""

from pathlib import Path
from typing import Any

import pytest

from data.errors import LabError
from data.store import Store, open_store
from engine.jobs import train
from engine.jobs.request import Request, request
from engine.jobs.splitting import split
from engine.jobs.worker import Stop, carry_out, me
from tests.engine.jobs.resuming import TINY


def slices(seeds: str, parts: int, stack: int = 0, study: str = "digits-shuffling") -> list[tuple[int, int]]:
    wanted = request(study, None, None, seeds, stack=stack)
    made = split(wanted, parts)
    assert [seed for part in made for seed in part.seeds] == list(wanted.seeds)
    assert {part.spec["stack"] for part in made} == {stack}
    return [(part.seeds.start, len(part.seeds)) for part in made]


def test_slices() -> None:
    assert slices("10", 3) == [(0, 3), (3, 3), (6, 4)]
    assert slices("4..7", 4) == [(4, 1), (5, 1), (6, 1), (7, 1)]
    assert slices("12", 3, stack=2) == [(0, 4), (4, 4), (8, 4)]
    assert slices("12", 2, stack=4) == [(0, 4), (4, 8)]
    assert slices("1..8", 2, study="mlp-instability") == [
        (1, 3),
        (4, 5),
    ]  # families are 0 and 1, 2 and 3, ...


@pytest.mark.parametrize(
    ("seeds", "parts", "stack", "study", "what"),
    [
        ("4", 5, 0, "digits-shuffling", "Too many parts"),
        ("4", 0, 0, "digits-shuffling", "Too many parts"),
        ("12", 4, 4, "digits-shuffling", "Too many parts"),
        ("10", 2, 4, "digits-shuffling", "do not come out even"),
        ("12", 2, 3, "mlp-instability", "do not come out even"),
        ("1..4", 2, 2, "mlp-instability", "do not come out even"),
    ],
)
def test_what_cannot_be_split(seeds: str, parts: int, stack: int, study: str, what: str) -> None:
    with pytest.raises(LabError, match=what):
        slices(seeds, parts, stack, study)


def trained(root: Path, requests: list[Request]) -> tuple[Store, dict[Any, Any]]:
    store = open_store(root, create=True)
    for wanted in requests:
        job = store.catalog.create_job("train", TINY.name, {**wanted.spec, "arms": [], "device": "cpu"}, me())
        assert carry_out(store, job, Stop()).status == "done"
    metrics = [row.name for row in store.catalog.metrics(TINY.name)]
    frame = store.traces.frame(TINY.name, metrics)
    names = {run.id: (run.arm, run.seed) for run in store.catalog.runs(TINY.name)}
    frame = frame.drop(columns=["run", "seconds"], errors="ignore").assign(run=frame["run"].map(names))
    frame = frame.sort_values(["run", "step"])
    weights = {}
    for row in store.catalog.jobs():
        for kept in store.catalog.checkpoints(row.id, "weights"):
            for run in kept.runs:
                weights[names[run], kept.step] = _weights(store, run, kept.step)
    rows = {
        name: column.to_numpy().tobytes()
        for name, column in frame.items()
        if name not in ("run", "arm", "study")
    }
    return store, {"rows": rows, "runs": frame["run"].tolist(), "weights": weights}


def _weights(store: Store, run: int, step: int) -> dict[str, bytes]:
    from data.checkpoints import weights

    return {name: tensor.tobytes() for name, tensor in weights(store, run, step)[1].items()}


def test_the_parts_have_the_bits_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "study", lambda name: TINY)
    whole = Request(TINY.name, TINY, (), range(6), {}, "cpu", stack=2)
    one, told = trained(tmp_path / "one", [whole])
    several, parts = trained(tmp_path / "several", split(whole, 3)[::-1])
    assert len(set(told["runs"])) == 18
    assert parts == told
    one.close()
    several.close()


def test_stacks_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from engine.training.loop import replicas_of
    from engine.training.memory import choose_at_once, need

    replicas, cpu = replicas_of(TINY, ["SS"], range(8)), torch.device("cpu")
    one = need(TINY.of("SS"))
    monkeypatch.setattr("engine.training.memory.free_bytes", lambda device: 8 * one.kept + 4 * one.step)
    assert choose_at_once(TINY, replicas, cpu, 4) == 4
    with pytest.raises(LabError, match="asks for 5 replicas together; 4 fit"):
        choose_at_once(TINY, replicas, cpu, 5)
