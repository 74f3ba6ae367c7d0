"""Writes the fixtures of text formats with the tools that write them; the tests need none of these.

In an environment of its own (Python 3.11):

    pip install torch==2.13.0 lightning==2.6.6 stable-baselines3==2.9.2 transformers==5.24.0 wandb==0.31.0 \
        keras==3.15.1 pandas==3.1.1 polars==2.1.0 ultralytics==8.4.190
    python tests/data/importers/written/write_text.py

Every file has the same values: at step s the loss is 1 / (1 + s), the loss in validation twice that and the
accuracy s / (1 + s), for STEPS steps. Written by their documented form: the CSV of a chart of W&B and of
TensorBoard's page, which a browser saves; the progress.csv of OpenAI's Baselines; the padded results.csv of
older Ultralytics; and the traces of Hu et al., whose script saves a frame of these columns. Ultralytics
needs opencv-python-headless, torchvision and matplotlib too.
"""

import csv
import json
import os
import struct
import tempfile
from pathlib import Path
from types import SimpleNamespace

os.environ |= {"KERAS_BACKEND": "torch", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}

HERE = Path(__file__).parent / "text"
STEPS = 12
EVERY = 4
"""Steps of an epoch."""


def loss(step: int) -> float:
    return 1 / (1 + step)


def val_loss(step: int) -> float:
    return 2 / (1 + step)


def accuracy(step: int) -> float:
    return step / (1 + step)


def rows() -> list[dict[str, float]]:
    return [{"step": s, "loss": loss(s), "accuracy": accuracy(s)} for s in range(STEPS)]


def lightning() -> None:
    import torch
    from lightning import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

        def training_step(self, batch: list, index: int) -> torch.Tensor:
            self.log("train_loss", torch.tensor(loss(self.global_step), dtype=torch.float64))
            return (self.weight**2).sum()

        def validation_step(self, batch: list, index: int) -> None:
            self.log("val_loss", torch.tensor(val_loss(self.global_step), dtype=torch.float64))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD([self.weight], lr=0.1)

    with tempfile.TemporaryDirectory() as folder:
        data = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(torch.zeros(EVERY, 1)), batch_size=1
        )
        trainer = Trainer(
            max_epochs=STEPS // EVERY,
            logger=CSVLogger(folder, name="", version=""),
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
            default_root_dir=folder,
        )
        trainer.fit(Module(), data, data)
        found = next(Path(folder).rglob("metrics.csv"))
        (HERE / "lightning_metrics.csv").write_bytes(found.read_bytes())


def keras_logger() -> None:
    import keras

    for name, separator in (("keras_log.csv", ","), ("keras_log_semicolon.csv", ";")):
        logger = keras.callbacks.CSVLogger(str(HERE / name), separator=separator)
        logger.set_model(keras.Sequential())
        logger.on_train_begin()
        for epoch in range(STEPS):
            logs = {"loss": loss(epoch), "accuracy": accuracy(epoch), "val_loss": val_loss(epoch)}
            logger.on_epoch_end(epoch, logs)
        logger.on_train_end()
    history = {"loss": [loss(s) for s in range(STEPS)], "accuracy": [accuracy(s) for s in range(STEPS)]}
    (HERE / "keras_history.json").write_text(json.dumps(history))


def ultralytics() -> None:
    from ultralytics.engine.trainer import BaseTrainer

    path = HERE / "ultralytics_results.csv"
    path.unlink(missing_ok=True)
    for epoch in range(STEPS):
        trainer = SimpleNamespace(epoch=epoch, csv=path, train_time_start=0.0)
        names = ("train/box_loss", "metrics/mAP50(B)", "val/box_loss")
        values = (loss(epoch), accuracy(epoch), val_loss(epoch))
        BaseTrainer.save_metrics(trainer, dict(zip(names, values, strict=True)))


def ultralytics_padded() -> None:
    """Write the form of the versions before 8.3: names and cells padded to 23."""
    names = ("epoch", "train/box_loss", "metrics/mAP50(B)", "val/box_loss")
    lines = [("%23s," * len(names) % names).rstrip(",")]
    for epoch in range(STEPS):
        values = (epoch + 1, loss(epoch), accuracy(epoch), val_loss(epoch))
        lines.append(("%23.5g," * len(names) % values).rstrip(","))
    (HERE / "ultralytics_padded.csv").write_text("\n".join(lines) + "\n")


def stable_baselines() -> None:
    import gymnasium
    import numpy as np
    from stable_baselines3.common.logger import configure
    from stable_baselines3.common.monitor import Monitor

    class Environment(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 1, (1,))
        action_space = gymnasium.spaces.Discrete(2)
        episode = -1

        def reset(self, **_: object) -> tuple[np.ndarray, dict]:
            self.episode, self.at = self.episode + 1, 0
            return np.zeros(1, np.float32), {}

        def step(self, _: int) -> tuple[np.ndarray, float, bool, bool, dict]:
            self.at += 1
            return np.zeros(1, np.float32), float(self.episode), self.at > self.episode, False, {}

    with tempfile.TemporaryDirectory() as folder:
        logger = configure(folder, ["csv"])
        for step in range(STEPS):
            logger.record("time/total_timesteps", 2048 * (step + 1))
            logger.record("time/time_elapsed", step + 1)
            logger.record("rollout/ep_rew_mean", accuracy(step))
            if step:
                logger.record("train/loss", loss(step))
            logger.dump(step)
        logger.close()
        (HERE / "sb3_progress.csv").write_bytes((Path(folder) / "progress.csv").read_bytes())
        environment = Monitor(Environment(), str(Path(folder) / "env"))
        environment.unwrapped.spec = SimpleNamespace(id="Counting-v0")
        environment = Monitor(environment.env, str(Path(folder) / "named"))
        for _ in range(STEPS):
            environment.reset()
            while not environment.step(0)[2]:
                pass
        environment.close()
        (HERE / "sb3_monitor.csv").write_bytes((Path(folder) / "named.monitor.csv").read_bytes())


def openai_baselines() -> None:
    with (HERE / "baselines_progress.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["eprewmean", "loss/policy_loss", "misc/time_elapsed", "misc/total_timesteps"])
        writer.writerows([accuracy(s), loss(s), s + 1.5, 128 * (s + 1)] for s in range(STEPS))


def transformers() -> None:
    from transformers import TrainerState

    log = []
    for step in range(1, STEPS + 1):
        log.append({"loss": loss(step), "grad_norm": 1.0, "epoch": step / EVERY, "step": step})
        if step % EVERY == 0:
            log.append({"eval_loss": val_loss(step), "epoch": step / EVERY, "step": step})
    log.append({"train_runtime": 3.5, "train_loss": 0.25, "epoch": STEPS / EVERY, "step": STEPS})
    state = TrainerState(
        epoch=STEPS / EVERY, global_step=STEPS, max_steps=STEPS, num_train_epochs=3, log_history=log
    )
    state.save_to_json(str(HERE / "trainer_state.json"))


def wandb_history() -> None:
    import numpy as np
    import pandas as pd
    import wandb
    from wandb.proto import wandb_internal_pb2

    with tempfile.TemporaryDirectory() as folder:
        run = wandb.init(project="fixtures", name="SS seed 3", dir=folder, config={"lr": 0.1})
        for step in range(STEPS):
            values = {"loss": loss(step), "accuracy": accuracy(step), "val": {"loss": val_loss(step)}}
            if step % EVERY == 0:
                values["weights"] = wandb.Histogram(np_histogram=np.histogram([0.0, 1.0], bins=2))
            run.log(values)
        run.finish()
        [path] = Path(folder).rglob("*.wandb")
        history = []
        for record in _leveldb(path.read_bytes()):
            message = wandb_internal_pb2.Record.FromString(record)
            if message.WhichOneof("record_type") == "history":
                row: dict = {}
                for item in message.history.item:
                    names = list(item.nested_key) or [item.key]
                    under = row
                    for name in names[:-1]:
                        under = under.setdefault(name, {})
                    under[names[-1]] = json.loads(item.value_json)
                history.append(row)
    (HERE / "wandb_history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    flat = [
        {("val.loss" if k == "val" else k): (v["loss"] if k == "val" else v) for k, v in row.items()}
        for row in history
    ]
    pd.DataFrame(flat).to_csv(HERE / "wandb_history.csv")


def _leveldb(content: bytes) -> list[bytes]:
    """Return the records of a .wandb file: LevelDB's log format after seven bytes."""
    records, at, held = [], 7, b""
    while at + 7 <= len(content):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        held += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            records.append(held)
            held = b""
    return records


def wandb_chart() -> None:
    with (HERE / "wandb_chart.csv").open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        runs = ("SS - seed 3", "RR - seed 3")
        writer.writerow(["Step", *(f"{r} - loss{end}" for r in runs for end in ("", "__MIN", "__MAX"))])
        for step in range(STEPS):
            second = [val_loss(step)] * 3 if step % 2 == 0 else [""] * 3
            writer.writerow([step, *[loss(step)] * 3, *second])
    with (HERE / "wandb_chart_ranges.csv").open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        metrics = ("loss", "accuracy")
        names = [f"group: SS - {m}{end}" for m in metrics for end in ("", "__MIN", "__MAX")]
        writer.writerow(["Relative Time (Process)", *names])
        for s in range(STEPS):
            writer.writerow([s * 1.5, loss(s), loss(s) / 2, loss(s) * 2, *[accuracy(s)] * 3])


def tensorboard() -> None:
    with (HERE / "run-SS_seed_3-tag-train_loss.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["Wall time", "Step", "Value"])
        writer.writerows([1_700_000_000.5 + step, step, loss(step)] for step in range(STEPS))


def frames() -> None:
    import numpy as np
    import pandas as pd
    import polars as pl

    frame = pd.DataFrame(rows())
    frame.to_csv(HERE / "pandas.csv", index=False)
    frame.to_csv(HERE / "pandas_german.csv", index=False, sep=";", decimal=",")
    frame.to_csv(HERE / "pandas_excel.csv", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    frame.to_csv(HERE / "pandas_utf16.tsv", index=False, sep="\t", encoding="utf-16")
    frame.to_csv(HERE / "pandas_no_header.csv", index=False, header=False)
    (HERE / "pandas_aligned.txt").write_text(
        frame.to_string(index=False, float_format=lambda v: repr(float(v))) + "\n"
    )
    frame.to_json(HERE / "pandas_records.json", orient="records", double_precision=15)
    frame.to_json(HERE / "pandas_lines.jsonl", orient="records", lines=True, double_precision=15)
    pl.DataFrame(frame.to_dict("list")).write_csv(HERE / "polars.csv")
    pl.DataFrame(frame.to_dict("list")).write_ndjson(HERE / "polars.ndjson")
    np.savetxt(HERE / "numpy.txt", frame.to_numpy(), header="step loss accuracy", fmt="%.17g")
    hu = pd.DataFrame({"l1": [loss(s) for s in range(STEPS)], "l2": [val_loss(s) for s in range(STEPS)]})
    others = (
        "trace spectral code_sparsity computational_sparsity mean_lambda variance_lambda "
        "mean_w median_w var_w mean_b median_b var_b"
    )
    for name in others.split():
        hu[name] = hu["l1"]
    hu["step"] = range(0, 10 * STEPS, 10)
    hu["eval_accuracy"] = [accuracy(s) for s in range(STEPS)]
    hu.to_csv(HERE / "hu_lr0.001_adamw_seed3_scaling1.0.csv")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    frames()
    lightning()
    keras_logger()
    ultralytics()
    ultralytics_padded()
    stable_baselines()
    openai_baselines()
    transformers()
    wandb_history()
    wandb_chart()
    tensorboard()
