import io
import pickle

import numpy as np
import pytest
from safetensors.numpy import save

from data import networks
from data.errors import LabError
from data.store import open_store


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "lab", create=True)
    yield opened
    opened.close()


def test_a_network_is_kept_once_under_its_content(store):
    tensors = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2)}
    first = networks.keep(store, save(tensors), "mine.safetensors")
    assert networks.keep(store, save(tensors), "other name.safetensors") == first
    assert len(list(store.networks.iterdir())) == 1
    back = networks.load(store, first)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor)


def pickled() -> bytes:
    return pickle.dumps({"w": [1.0]})


def zipped() -> bytes:
    out = io.BytesIO()
    np.savez(out, w=np.ones(2))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (pickled(), "is a pickle"),
        (zipped(), "is a pickle"),
        (b"", "no safetensors"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00not json at all!", "no safetensors"),
        (save({"w": np.ones(3)})[:-4], "no safetensors"),
        (save({}), "holds no tensor"),
        (save({"w": np.array([1.0, np.nan])}), "`w` holds NaN or infinity"),
    ],
)
def test_what_is_no_network_is_refused_and_nothing_is_kept(store, content, told):
    with pytest.raises(LabError, match=told):
        networks.keep(store, content, "it.safetensors")
    assert not list(store.networks.iterdir())


def test_one_that_is_too_large_is_refused(store, monkeypatch):
    monkeypatch.setattr(networks, "LARGEST", 100)
    with pytest.raises(LabError, match="too large"):
        networks.keep(store, save({"w": np.ones(100)}), "it.safetensors")


def test_one_that_is_gone_or_damaged_is_said(store):
    with pytest.raises(LabError, match="Upload it again"):
        networks.load(store, "0" * 64)
    digest = networks.keep(store, save({"w": np.ones(3)}), "it.safetensors")
    path = store.networks / f"{digest}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(LabError, match="damaged"):
        networks.load(store, digest)
