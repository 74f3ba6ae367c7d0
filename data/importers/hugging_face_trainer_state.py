"""The state that a Hugging Face Trainer keeps (trainer_state.json): its `log_history`, a row per log call."""

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from data.importers._importer import Importer, LogFile, LogTable
from data.importers.json_array import is_state, log_of, settings_of

_SETTINGS = ("max_steps", "num_train_epochs", "train_batch_size", "eval_steps", "logging_steps", "save_steps")


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    """Read the rows as they stand: training, evaluation, and at the end what the training took."""
    for file in files:
        found = settings_of(file)
        facts: dict[str, Any] = {"config": {name: found[name] for name in _SETTINGS if name in found}}
        if isinstance(found.get("trial_name"), str):
            facts["name"] = found["trial_name"]
        yield log_of(connection, file, "log_history", roles={"step": "step", "epoch": "epoch"}, facts=facts)


IMPORTER = Importer(title="Hugging Face trainer_state.json", can_read=is_state, read=read, rank=10)
