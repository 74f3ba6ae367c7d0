"""Writes `binary/` with the real tools, and says which values they were given.

    python -m venv writers && writers/bin/pip install tensorboard==2.21.0 tensorboardX==2.6.5 mlflow==3.17.2 \
        polars==2.1.0 torch==2.13.0
    writers/bin/python tests/data/importers/written/write_binary.py

Tests import the values from here; the tools are imported only where they write.
"""

import os
import shutil
import sqlite3
import struct
from pathlib import Path

BINARY = Path(__file__).parent / "binary"
STEPS = range(0, 60, 5)
METRICS = ("loss", "test/accuracy")
SEEDS = (0, 1)
STARTED = 1_700_000_000
"""Seconds since 1970."""


def value(metric: str, seed: int, step: int) -> float:
    """Return what is logged: a float32, so that every format keeps it; loss diverges at the end of seed 1."""
    if metric == "loss" and seed == 1 and step >= 50:
        return float("inf") if step == 50 else float("nan")
    exact = 2.5 / (step + 1) + seed / 3 if metric == "loss" else 1 - 0.9 / (step + seed + 1)
    return float(struct.unpack("<f", struct.pack("<f", exact))[0])


def moment(seed: int, step: int) -> int:
    """Return when a step is logged, in seconds since 1970."""
    return STARTED + 1000 * seed + step


def settings(seed: int) -> dict[str, float | str | bool]:
    """Return a run's settings."""
    return {"lr": 0.1, "seed": float(seed), "arm": "SS" if seed else "RR", "nesterov": True}


def _torch() -> None:
    from torch.utils.tensorboard import SummaryWriter

    for seed in SEEDS:
        with SummaryWriter(str(BINARY / "torch" / f"seed_{seed}")) as writer:
            for step in STEPS:
                for metric in METRICS:
                    writer.add_scalar(metric, value(metric, seed, step), step, walltime=moment(seed, step))
    with SummaryWriter(str(BINARY / "torch-others")) as writer:
        import numpy as np

        writer.add_scalar("loss", value("loss", 0, 0), 0, walltime=moment(0, 0))
        writer.add_image("image", np.zeros((3, 2, 2), np.uint8), 0)
        writer.add_histogram("weights", np.arange(9.0), 0)
        writer.add_text("text", "words", 0)
    with SummaryWriter(str(BINARY / "torch-hparams")) as writer:
        writer.add_hparams(settings(0), {"final": 0.5}, run_name=".")
    # A run that was killed after step 55 and went on from its checkpoint of step 30.
    for began, steps in enumerate((STEPS, range(30, 60, 5))):
        folder = BINARY / "torch-resumed"
        with SummaryWriter(str(folder)) as writer:
            for step in steps:
                writer.add_scalar("loss", value("loss", began, step), step, walltime=moment(began, step))
        written = next(
            path for path in folder.iterdir() if path.name != f"events.out.tfevents.{STARTED}.host"
        )
        written.rename(folder / f"events.out.tfevents.{STARTED + 1000 * began}.host")


def _tensorboard() -> None:
    from tensorboard.summary import Writer

    writer = Writer(str(BINARY / "tensors"))
    for step in STEPS:
        for metric in METRICS:
            writer.add_scalar(metric, value(metric, 0, step), step, wall_time=moment(0, step))
    writer.close()


def _tensorboard_x() -> None:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(BINARY / "tensorboardX")) as writer:
        for step in STEPS:
            for metric in METRICS:
                writer.add_scalar(metric, value(metric, 0, step), step, walltime=moment(0, step))


def _mlflow() -> None:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    database = BINARY / "mlflow.db"
    for address in (f"sqlite:///{database}", str(BINARY / "mlruns")):
        client = MlflowClient(address)
        experiment = client.create_experiment("shuffling", artifact_location="file:///artifacts")
        for seed in SEEDS:
            run = client.create_run(experiment, start_time=moment(seed, 0) * 1000, run_name=f"seed: {seed}")
            metrics = [
                Metric(metric, value(metric, seed, step), moment(seed, step) * 1000, step)
                for step in STEPS
                for metric in METRICS
            ]
            params = [Param(key, str(setting)) for key, setting in settings(seed).items()]
            client.log_batch(run.info.run_id, metrics, params)
        empty = client.create_run(experiment, run_name="deleted")
        client.delete_run(empty.info.run_id)
    shutil.rmtree(BINARY / "mlruns" / "0")
    shutil.rmtree(BINARY / "mlruns" / ".trash")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE experiments SET artifact_location = 'file:///artifacts'")
        connection.commit()
        connection.execute("PRAGMA page_size = 512")
        connection.execute("VACUUM")


def _polars() -> None:
    import polars

    rows = [(seed, step) for seed in SEEDS for step in STEPS]
    frame = polars.DataFrame(
        {
            "run": [f"seed_{seed}" for seed, _ in rows],
            "step": [step for _, step in rows],
            **{metric: [value(metric, seed, step) for seed, step in rows] for metric in METRICS},
            "weights": [[0.5, 1.5] for _ in rows],
        }
    )
    frame.write_parquet(BINARY / "polars.parquet")
    frame.write_ipc(BINARY / "polars.arrow", compression="zstd")
    frame.write_ipc_stream(BINARY / "polars.arrows")


if __name__ == "__main__":
    shutil.rmtree(BINARY, ignore_errors=True)
    BINARY.mkdir()
    for write in (_torch, _tensorboard, _tensorboard_x, _mlflow, _polars):
        write()
    # The rest of such a name says which machine and process wrote the file.
    for place, path in enumerate(sorted(BINARY.rglob("events*"))):
        path.rename(path.with_name(f"{'.'.join(path.name.split('.')[:4])}.host.{place}"))
