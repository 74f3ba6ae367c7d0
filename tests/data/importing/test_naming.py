"""Arms and seeds of names as people give them."""

import pytest

from data.importing.naming import guess, run_name


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["SS/seed_3/metrics.csv", "RR/seed_3/metrics.csv"], [("SS", 3), ("RR", 3)]),
        (["ppo_seed0.csv", "ppo_seed1.csv"], [("ppo", 0), ("ppo", 1)]),
        (["run_0.csv", "run_1.csv"], [("all", 0), ("all", 1)]),
        (["SS.csv", "RR.csv"], [("SS", None), ("RR", None)]),
        (["metrics.csv"], [("all", None)]),
        (["lightning_logs/version_0/metrics.csv", "lightning_logs/version_1/metrics.csv"],
         [("all", 0), ("all", 1)]),
        (["logs/PPO_1/progress.csv", "logs/PPO_2/progress.csv", "logs/A2C_1/progress.csv"],
         [("PPO", 1), ("PPO", 2), ("A2C", 1)]),
        (["lr_0.1.csv", "lr_0.01.csv"], [("lr_0.1", None), ("lr_0.01", None)]),
        (["width_64.csv", "width_128.csv"], [("width_64", None), ("width_128", None)]),
        (["brave-sun-12", "odd-fox-3"], [("all", None), ("all", None)]),
        (["exp/train/events.out.tfevents.1.host.1.0", "exp/test/events.out.tfevents.1.host.1.0"],
         [("train", None), ("test", None)]),
        (["logs.zip/SS/0.csv", "logs.zip/SS/1.csv"], [("SS", 0), ("SS", 1)]),
        (["adam_s1_lr3", "sgd_s1_lr3"], [("adam_lr3", 1), ("sgd_lr3", 1)]),
        (["a/x.csv.gz", "b/x.csv.gz"], [("a/x", None), ("b/x", None)]),
    ],
)  # fmt: skip
def test_arm_and_seed(files: list[str], expected: list[tuple[str, int | None]]) -> None:
    assert [tuple(one) for one in guess([run_name(file) for file in files])] == expected
