"""All that a training loads, for processes to be forked from; like the tests it records its steps late."""

import atexit
import os

import alembic.command  # noqa: F401
import sklearn.datasets  # noqa: F401
import torch._dynamo
import torch.fx.experimental.proxy_tensor  # noqa: F401

from engine.cli.main import commands
from engine.jobs import train, worker  # noqa: F401
from engine.training.ensemble import Ensemble
from tests.engine.recording import record_late

commands()
Ensemble._capture = record_late  # type: ignore[method-assign]
atexit.register(os._exit, 0)  # it has nothing to tidy up, and duckdb would print what it finds left over
