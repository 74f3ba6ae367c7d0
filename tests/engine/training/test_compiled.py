"""A compiled step against the recorded one, also after replicas have left."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from data.errors import LabError
from engine.studies import Arm, study
from engine.training import readiness
from engine.training.device_data import DeviceData
from engine.training.record import Replica
from engine.training.stack import Stack

CPU = torch.device("cpu")


def small():
    return dataclasses.replace(
        study("digits-shuffling"),
        model="mlp",
        model_settings={"width": 8, "depth": 1},
        arms=(Arm("RR", "RR"),),
        comparisons=(),
        epochs=2,
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's compiler imports its own old parts
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_steps_are_those_recorded_and_do_not_depend_on_who_left():
    wanted = small()
    data = DeviceData.of(wanted.of("RR"), CPU)
    members = {seed: Replica("RR", seed) for seed in range(4)}
    plain, compiled = Stack(wanted, members, data), Stack(wanted, members, data, compiled=True)
    alive = np.array([True, False, True, True])
    for stack in (plain, compiled):
        stack.take(4)
        stack.keep(alive)
        stack.take(4)
    whole = Stack(wanted, members, data, compiled=True)
    whole.take(8)
    for name, value in compiled.ensemble.parameters.items():
        assert len(value) == 3
        torch.testing.assert_close(value, plain.ensemble.parameters[name], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(value.numpy(), whole.ensemble.parameters[name][alive].numpy())


def test_no_compiler_is_said_before_anything_begins(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(LabError, match="g\\+\\+"):
        readiness.require_trainable(small(), ["RR"], "cpu", compiled=True)
