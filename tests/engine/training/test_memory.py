import dataclasses

import psutil
import pytest
import torch
from torch import nn

from data.errors import LabError
from engine.models import build
from engine.studies import Arm
from engine.training.ensemble import Ensemble
from engine.training.memory import (
    Need,
    choose_at_once,
    example_bytes,
    fit,
    free_bytes,
    need,
    require_room,
    step_bytes,
)
from tests.engine.training.toys import CPU, seeds, toy


class Map(nn.Module):
    """One linear map without a bias, whose gradient can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(7, 1000))

    def forward(self, inputs):
        return inputs @ self.weight.T


def bytes_of(batch, dtype=torch.float64):
    ensemble = Ensemble(Map, [0], CPU, dtype, "values")
    return step_bytes(
        ensemble, torch.zeros(1, batch, 1000, dtype=dtype), torch.zeros(1, batch, 7, dtype=dtype)
    )


def test_the_bytes_of_a_step_are_those_counted_by_hand():
    """At its end the gradient (7 x 1000) is alive, with at most a few [batch x 7] besides it."""
    gradient, outputs = 7 * 1000 * 8, 5 * 7 * 8
    assert gradient + outputs <= bytes_of(5) <= 2 * gradient + 6 * outputs
    # Of many examples the residuals decide: [batch x 7] of outputs, residuals, squares, their gradients.
    many = 20_000 * 7 * 8
    assert 2 * many <= bytes_of(20_000) <= 5 * many + 2 * gradient
    assert bytes_of(20_000, torch.float32) == pytest.approx(bytes_of(20_000) / 2, rel=1e-3)


def test_the_bytes_of_a_step_grow_with_the_batch_and_the_model():
    def of(batch, width):
        study = toy(model_settings={"width": width, "depth": 2, "norm": "batch"}, batch_size=batch)
        return need(study)

    by_batch = [of(batch, 32).step for batch in (2, 8, 26)]
    assert by_batch == sorted(set(by_batch))
    small, large = of(8, 8), of(8, 64)
    assert large.step > small.step
    count = 5 * 64 + 64 * 64 + 4 * 64 + 64 * 3 + 3
    assert large.kept == 10 * 8 * count
    assert need(toy(dtype="float32")).step == pytest.approx(need(toy()).step / 2, rel=0.1)


def test_the_memory_is_what_torch_is_seen_to_take():
    """Against the largest sum of live tensors in an ordinary backward pass, as torch's profiler counts."""
    study = toy(model_settings={"width": 256, "depth": 2, "norm": "none"}, batch_size=26)
    module = build(study.model, study.shape, study.model_settings).double()
    inputs, targets = torch.zeros(26, 5, dtype=torch.float64), torch.zeros(26, dtype=torch.long)
    with torch.profiler.profile(
        profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]
    ) as seen:
        torch.autograd.grad(nn.functional.cross_entropy(module(inputs), targets), list(module.parameters()))
    live = peak = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    assert 0.8 * peak < need(study).step < 1.5 * peak


def test_what_runs_along_needs_memory_too():
    plain = need(toy())
    assert need(toy(cadence={"lyapunov": 10})).kept > plain.kept
    assert need(toy(cadence={"tail_average_risk": 10})).kept > plain.kept
    balanced = need(toy(), balanced=True)
    assert balanced.kept > plain.kept
    assert balanced.step > 8 * plain.kept / 10  # a gradient for each of a batch of 8 examples
    study = toy(batch_size=26)
    ensemble = Ensemble(lambda: build("mlp", study.shape, study.model_settings), [0], CPU, torch.float64)
    inputs = torch.zeros(1, 26, 5, dtype=torch.float64)
    own = sum(value.nbytes for value in ensemble.parameters.values())
    assert example_bytes(ensemble, inputs, torch.zeros(1, 26, dtype=torch.long)) >= 26 * own


def test_as_many_as_fit_step_together():
    assert fit([(4, Need(100, 50))], 10_000) == 4
    assert fit([(4, Need(100, 50))], 400 + 3 * 50) == 3
    assert fit([(4, Need(100, 50))], 400 + 3 * 50 - 1) == 2
    assert fit([(4, Need(100, 50)), (2, Need(10, 70))], 420 + 2 * 70) == 2
    assert fit([(4, Need(100, 50))], 450) == 1


def test_where_not_one_fits_the_error_says_how_many_would():
    with pytest.raises(
        LabError, match=r"40 runs keep 4\.00 GiB and a step of one takes 1\.00 GiB; 3\.50"
    ) as error:
        fit([(40, Need(2**30 // 10, 2**30))], int(3.5 * 2**30))
    assert "at most 25 runs" in error.value.remedy
    assert fit([(25, Need(2**30 // 10, 2**30))], int(3.5 * 2**30)) == 1
    with pytest.raises(LabError) as error:
        fit([(1, Need(2**20, 2**30))], 2**29)
    assert error.value.remedy == "Choose a smaller batch or a smaller model."


def test_the_stacks_of_a_study_share_the_memory(monkeypatch):
    study = toy(arms=(Arm("a", "RR"), Arm("wide", "RR", {"width": 64}), Arm("c", "GraB")))
    replicas = seeds(study, *range(10))
    shared, wide = need(study.of("a"), balanced=True), need(study.of("wide"))
    free = 20 * shared.kept + 10 * wide.kept + 7 * max(shared.step, wide.step)
    monkeypatch.setattr("engine.training.memory.free_bytes", lambda device: free)
    assert choose_at_once(study, replicas, CPU) == 7
    monkeypatch.setattr("engine.training.memory.free_bytes", lambda device: 1000)
    with pytest.raises(LabError, match="30 runs keep"):
        choose_at_once(study, replicas, CPU)


@pytest.mark.parametrize(("cache", "stacked"), [(12, 12), (10**9, 30), (1, 8)])
def test_a_stack_on_a_cpu_stays_in_the_cache_but_is_no_smaller_than_pays(monkeypatch, cache, stacked):
    study = toy(arms=(Arm("a", "RR"),))
    monkeypatch.setattr("engine.training.memory._CACHE", cache * need(study.of("a")).step)
    assert choose_at_once(study, seeds(study, *range(30)), CPU) == stacked


def test_a_share_of_what_is_free_is_used(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000}))
    assert free_bytes(CPU) == 500


def test_weights_that_no_memory_could_keep_are_refused_unbuilt():
    study = dataclasses.replace(toy(), model_settings={"width": 2_000_000, "depth": 2})
    with torch.device("meta"):
        model = build(study.model, study.shape, study.model_settings)
    with pytest.raises(LabError, match="3 runs keep"):
        require_room(study, model, 3, CPU)
    require_room(toy(), build("mlp", toy().shape, {}), 3, CPU)
