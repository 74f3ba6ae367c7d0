"""What lies between networks of a trained study, kept and read back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch.func import functional_call

from data import checkpoints, networks
from data.analyses import load
from data.errors import LabError
from data.store import Store, open_store
from engine.cli.main import main
from engine.jobs import connect
from engine.jobs.connect_request import KIND, Node, connect_request, read_node
from engine.jobs.networks import Networks
from engine.studies.mlp_modes import barrier
from tests.engine.cli.commandline import answer

MODES = "mlp-modes@epochs=3,model.width=16"
A, B, C = (Node("no BN", seed) for seed in range(3))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("connect") / "lab"
    told = answer(
        "--store", root, "train", "mlp-modes", "--seeds", "3", "--set", "epochs=3", "--set", "model.width=16"
    )
    assert told["study"] == MODES
    return root


@pytest.fixture
def store(lab: Path) -> Store:
    return open_store(lab)


def connected(store: Store, nodes: list[Node], **how: object) -> tuple[dict, dict]:  # type: ignore[type-arg]
    spec = connect_request(store, MODES, nodes, **how).spec  # type: ignore[arg-type]
    job = store.catalog.create_job("connect", MODES, spec).id
    ending = connect.run(store, job, lambda *told: False)
    row = store.catalog.analysis(ending.result["analysis"])
    return row.summary, load(store, row)


def weights(store: Store, node: Node) -> dict[str, np.ndarray]:
    runs = {(run.arm, run.seed): run.id for run in store.catalog.runs(MODES)}
    return checkpoints.weights(store, runs[node.arm, node.seed])[1]  # type: ignore[index]


def test_a_path_is_that_of_the_studys_own_measure(store: Store) -> None:
    summary, arrays = connected(
        store, [A, B], methods=("weights", "activations", "ste"), renormalize=("repair", "reset"),
        curve="bezier", restarts=2,
    )  # fmt: skip
    told = {(one["method"], one["renormalize"], one["split"]): one for one in summary["barriers"]}
    split = Networks(store, MODES, "no BN").study.load()
    ours = told["naive", "none", "test"]
    one, other = (
        {name: value.astype(np.float64) for name, value in weights(store, node).items()} for node in (A, B)
    )
    assert ours["loss_chord"] == pytest.approx(barrier(one, other, split), rel=1e-4)
    assert arrays["loss"].shape == arrays["accuracy"].shape == (len(summary["paths"]), 2, 25)
    at = summary["paths"].index({"method": "naive", "renormalize": "none"})
    chord = arrays["loss"][at, 1] - np.linspace(arrays["loss"][at, 1, 0], arrays["loss"][at, 1, -1], 25)
    assert ours["loss_chord"] == pytest.approx(chord.max(), abs=1e-6)
    # Permuting an end changes no end: every way begins and stops at the same losses.
    for end in (0, -1):
        first = np.broadcast_to(arrays["loss"][0, :, end], arrays["loss"].shape[:2])
        np.testing.assert_allclose(arrays["loss"][:, :, end], first, rtol=1e-4)
    assert {one["method"] for one in summary["matchings"]} == {"weights", "activations", "ste"}
    for matching in summary["matchings"]:
        assert matching["distance_after"] <= matching["distance_before"]
    assert summary["matchings"][0]["null"]["pairs"] == 3
    assert all("reset" in one["renormalize"] and one["why"] for one in summary["refused"])  # there is no BN
    assert {one["layer"] for one in summary["diagnostics"]} >= {"hidden.0.linear", "head"}


def test_a_permuted_copy_is_the_same_network_after_matching(store: Store) -> None:
    one = weights(store, A)
    order = np.random.default_rng(0).permutation(16)
    copy = dict(one)
    copy["hidden.0.linear.weight"] = one["hidden.0.linear.weight"][order]
    copy["hidden.0.linear.bias"] = one["hidden.0.linear.bias"][order]
    copy["hidden.1.linear.weight"] = np.ascontiguousarray(one["hidden.1.linear.weight"][:, order])
    digest = networks.keep(store, save(copy), "copy.safetensors")
    summary, _ = connected(store, [A, Node("no BN", file=digest, name="copy.safetensors")])
    told = {(one["method"], one["split"]): one for one in summary["barriers"]}
    # Half-way lies another network without matching, and the very same one with it.
    for method, differs in (("naive", True), ("weights", False)):
        half, ends = told[method, "test"]["midpoint"]["loss"], told[method, "test"]["ends"]["loss"]
        assert (abs(half - ends[0]) > 1e-3) == differs
    assert told["weights", "test"]["loss_chord"] < 1e-6
    assert summary["matchings"][0]["distance_after"] == 0
    assert summary["nodes"][1]["label"] == "copy.safetensors"


def test_the_matrix_is_that_of_the_paths(store: Store) -> None:
    summary, arrays = connected(store, [A, B, C], what="matrix", restarts=2)
    path_summary, _ = connected(store, [A, C], restarts=2)
    told = {(one["method"], one["split"]): one for one in path_summary["barriers"]}
    for m, method in enumerate(summary["methods"]):
        for s, split in enumerate(summary["splits"]):
            matrix = arrays["loss_chord"][0, m, s]
            np.testing.assert_array_equal(matrix, matrix.T)
            np.testing.assert_array_equal(np.diag(matrix), 0.0)
            assert matrix[0, 2] == pytest.approx(told[method, split]["loss_chord"], abs=1e-6)
    assert (arrays["similarity"][0, 1] >= arrays["similarity"][0, 0] - 1e-9).all()


def test_a_plane_goes_through_its_networks(store: Store) -> None:
    summary, arrays = connected(store, [A, B, C], what="plane", points=5, restarts=1)
    path_summary, _ = connected(store, [A, B])
    ends = next(one["ends"]["loss"] for one in path_summary["barriers"] if one["split"] == "test")
    assert arrays["loss"].shape == (2, 2, 5, 5)
    assert np.isfinite(arrays["loss"]).all()
    np.testing.assert_allclose(arrays["anchors"][:, 0], 0.0)
    assert arrays["loss"][0, 1].min() <= max(ends) + 0.5
    assert summary["methods"] == ["naive", "weights"]


def test_a_merge_is_the_mean_of_the_weights(store: Store) -> None:
    summary, _ = connected(store, [A, B, C], what="merge", restarts=1)
    told = {(one["what"], one["split"]): one for one in summary["merges"]}
    net = Networks(store, MODES, "no BN")
    states = [weights(store, node) for node in (A, B, C)]
    mean = {name: torch.from_numpy(np.mean([one[name] for one in states], axis=0)) for name in states[0]}
    test = net.splits[1]
    outputs = functional_call(net.model, mean, (test.X,))
    assert told["naive", "test"]["accuracy"] == pytest.approx(
        float((outputs.argmax(1) == test.y).double().mean())
    )
    assert told["cycle", "train"]["loss"] < told["naive", "train"]["loss"]
    assert 0 <= summary["cycle_consistency"] <= 1
    assert sum(one["what"] == "member" for one in summary["merges"]) == 6


def test_pruning_ends_with_nothing_left_and_begins_with_everything(store: Store) -> None:
    summary, arrays = connected(store, [A], what="pruning", renormalize=("repair", "reset"))
    assert arrays["loss"].shape == (3, 2, len(arrays["sparsities"]))
    np.testing.assert_allclose(arrays["loss"][1, :, 0], arrays["loss"][0, :, 0], rtol=1e-3)
    assert [one["renormalize"] for one in summary["refused"]] == ["reset"]
    assert np.isnan(arrays["loss"][2]).all()


def test_it_is_computed_once_and_stops_when_asked(store: Store) -> None:
    spec = connect_request(store, MODES, [B, C], seed=3).spec
    jobs = [store.catalog.create_job("connect", MODES, spec).id for _ in range(3)]
    assert connect.run(store, jobs[0], lambda step, *rest: step >= 1).status == "stopped"
    first, again = (connect.run(store, job, lambda *told: False).result for job in jobs[1:])
    assert (first["connected"], again["connected"]) == (True, False)
    assert first["analysis"] == again["analysis"]


@pytest.mark.parametrize(
    ("nodes", "how", "told"),
    [
        ([A], {}, "2 different networks"),
        ([A, A], {}, "2, 1 different|1 different"),
        ([A, Node("no BN", 99)], {}, "no run of no BN with seed 99"),
        ([A, Node("nope", 0)], {}, "has no arm `nope`"),
        ([A, Node("no BN", 1, 7)], {}, "has no weights of step 7"),
        ([A, Node("BN", 1)], {}, "are different networks"),
        ([A, B], {"methods": ("magic",)}, "no method `magic`"),
        ([A, B], {"renormalize": ("magic",)}, "no renormalization `magic`"),
        ([A, B], {"curve": "magic"}, "no curve `magic`"),
        ([A, B], {"what": "magic"}, "`what` cannot be"),
        ([A, B], {"points": 1}, "must be 3 to 501"),
        ([A, B, C], {"what": "matrix", "steps": (5,)}, "has no weights of step 5"),
    ],
)
def test_what_cannot_be_connected_is_said_before_anything_is_made(
    store: Store,
    nodes: list[Node],
    how: dict,
    told: str,  # type: ignore[type-arg]
) -> None:
    before = len(store.catalog.analyses(kind=KIND))
    with pytest.raises(LabError, match=told):
        connected(store, nodes, **how)
    assert len(store.catalog.analyses(kind=KIND)) == before


def test_an_uploaded_network_of_another_architecture_is_refused_by_name(store: Store) -> None:
    other = {name: value for name, value in weights(store, A).items() if name != "head.bias"}
    missing = networks.keep(store, save(other), "missing.safetensors")
    with pytest.raises(LabError, match=r"`head.bias` is missing"):
        connected(store, [A, Node("no BN", file=missing, name="missing.safetensors")])
    wide = networks.keep(store, save({**other, "head.bias": np.zeros(11)}), "wide.safetensors")
    with pytest.raises(LabError, match=r"`head.bias` is of shape 11"):
        connected(store, [A, Node("no BN", file=wide, name="wide.safetensors")])


def test_a_run_without_its_study_or_with_broken_weights_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.catalog.save_study("logs", "Logs", "A claim.", {}, "upload")
    with pytest.raises(LabError, match="was uploaded"):
        connect_request(store, "logs", [A, B])
    whole = checkpoints.weights

    def broken(*asked: object) -> object:
        step, tensors = whole(*asked)  # type: ignore[arg-type]
        return step, {name: np.full_like(one, np.inf) for name, one in tensors.items()}

    monkeypatch.setattr(checkpoints, "weights", broken)
    with pytest.raises(LabError, match="holds NaN or infinity"):
        connected(store, [A, B], seed=9)


def test_networks_are_read_from_text() -> None:
    assert read_node("no BN:3") == Node("no BN", 3)
    assert read_node("a:b:3@640") == Node("a:b", 3, 640)
    for text in ("SS", "SS:", "SS:x", ":3x", "SS:3@"):
        with pytest.raises(LabError, match="ARM:SEED"):
            read_node(text)


def test_the_command_prints_every_question(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = (("--a", "no BN:0"), ("--b", "no BN:1"), ("--c", "no BN:2"))
    data = answer("--store", lab, "connect", MODES, *a, *b, "--renormalize", "none,repair", "--restarts", "1")
    assert {one["renormalize"] for one in data["summary"]["barriers"]} == {"none", "repair"}
    capsys.readouterr()
    for words, told in (
        ((*a, *b, "--among", "no BN:2", "--restarts", "1", "--points", "5"), "pairs"),
        ((*a, *b, *c, "--points", "3", "--restarts", "1"), "median loss"),
        ((*a, *b, *c, "--merge", "--restarts", "1"), "agree around triples"),
        (a, "sparsity"),
    ):
        assert main(["--store", str(lab), "connect", MODES, *words]) == 0
        assert told in capsys.readouterr().out
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"nothing")
    assert main(["--store", str(lab), "connect", MODES, *a, "--b", f"no BN:{file}"]) == 1
    assert "no safetensors" in capsys.readouterr().err
    assert main(["--store", str(lab), "connect", MODES, *a, "--b", "no BN:gone.safetensors"]) == 1
    assert main(["--store", str(lab), "connect", MODES, *a, *b, "--steps", "x"]) == 1
