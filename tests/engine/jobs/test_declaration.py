"""What is written down of a study: the same definition in older words, and what a run is trained with."""

import dataclasses
import json

import pytest

from data.errors import LabError
from data.store import Store
from engine.jobs.declaration import declare, require_same, run_settings
from engine.studies import Arm, Study, study

SMALL = study("digits-shuffling").override({"epochs": "1", "model.width": "8"})


def keep(store: Store, config: dict[str, object], name: str = SMALL.name) -> None:
    """Write a study down as an older version did, with a run."""
    store.catalog.save_study(name, "T", "c", config, "engine")
    job = store.catalog.create_job("train", name, {}).id
    store.catalog.start_runs(job, name, [("SS", 0, {})], 32, "cpu")


def test_a_definition_without_newer_settings_is_the_same(store: Store) -> None:
    config = json.loads(json.dumps(SMALL.config()))
    newer = ("optimizer", "schedule", "schedule_settings", "label_noise", "stop_below", "cadence", "source")
    for name in newer:
        del config[name]
    for arm in config["arms"]:
        del arm["training"]
    keep(store, config)
    require_same(store, SMALL)
    words = {"title": "Other", "claim": "Other.", "seeds": 3, "comparisons": (), "source": "Somebody"}
    require_same(store, dataclasses.replace(SMALL, **words, expected_seconds=3.0, expected_gpu_seconds=1.0))
    require_same(store, dataclasses.replace(SMALL, name="another", lr=3.0))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"optimizer": "adam"}, "another optimizer"),
        ({"label_noise": 0.1}, "another label_noise"),
        ({"stop_below": {"test_loss": 0.5}}, "another stop_below"),
        ({"arms": (*SMALL.arms[:3], Arm("RR no BN", "RR", {"norm": "none"}, training={"lr": 0.2}))}, "arms"),
        ({"lr": 0.5, "momentum": 0.5}, "another lr, momentum"),
    ],
)
def test_another_definition_is_refused_where_it_has_runs(
    store: Store, change: dict[str, object], told: str
) -> None:
    other = dataclasses.replace(SMALL, **change)  # type: ignore[arg-type]
    store.catalog.save_study(SMALL.name, "T", "c", SMALL.config(), "engine")
    require_same(store, other)
    keep(store, SMALL.config())
    with pytest.raises(LabError, match=told):
        require_same(store, other)


def test_every_column_is_described(store: Store) -> None:
    names = declare(store, SMALL, ["SS", "RR no BN"])
    described = {row.name: row for row in store.catalog.metrics(SMALL.name)}
    assert list(described) == names
    assert {"batch_loss", "full_batch_risk", "test_accuracy"} <= set(names)
    assert all(row.label and row.formula for row in described.values())
    assert store.catalog.study(SMALL.name).config["epochs"] == 1


def test_a_runs_settings_are_those_of_its_arm() -> None:
    wanted = Study(
        name="s",
        title="S",
        claim="c",
        dataset="digits",
        model="linear-network",
        model_settings={"width": 4, "norm": "batch"},
        arms=(
            Arm("plain", "SS"),
            Arm(
                "other",
                "RS2",
                {"norm": "none"},
                {"fraction": 0.5},
                {"optimizer": "adam", "epochs": 3, "schedule": "step", "schedule_settings": {"every": 2}},
            ),
        ),
        momentum=0.5,
        stop_above={"test_accuracy": 0.9},
        expected_seconds=3.0,
    )
    usual = {"dataset": "digits", "model": "linear-network", "batch_size": 32, "lr": 0.1, "dtype": "float32"}
    both = {"evaluate_every": 32, "momentum": 0.5, "model.width": 4, "stop_above.test_accuracy": 0.9}
    assert run_settings(wanted, "plain") == {
        **usual,
        **both,
        "epochs": 100,
        "optimizer": "sgd",
        "model.norm": "batch",
        "ordering": "SS",
    }
    assert run_settings(wanted, "other") == {
        **usual,
        **both,
        "epochs": 3,
        "optimizer": "adam",
        "model.norm": "none",
        "schedule": "step",
        "schedule.every": 2,
        "ordering": "RS2",
        "ordering.fraction": 0.5,
    }
