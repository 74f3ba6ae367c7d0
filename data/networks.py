"""Networks that somebody uploaded: safetensors files, kept under the hash of their content."""

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as from_bytes

from data.durable import put_in_place, refused
from data.errors import LabError

if TYPE_CHECKING:
    from data.store import Store

LARGEST = 512 << 20
"""Bytes of one uploaded network."""


def keep(store: "Store", content: bytes, name: str) -> str:
    """Keep a network's file and return its SHA-256; the same content is kept once.

    Nothing in it is run: safetensors hold numbers alone, and whatever else the bytes are is refused.

    Args:
        store: the open store.
        content: of the file.
        name: of the file, for messages.

    Raises:
        LabError: no safetensors, no tensor in it, a number that is not finite, too large, a full disk, or
            whoever acts may change nothing.
    """
    store.catalog.person.require("researcher")
    read(content, name)
    digest = hashlib.sha256(content).hexdigest()
    path = store.networks / f"{digest}.safetensors"
    if path.exists():
        return digest
    aside = store.networks / f"{digest}.{os.getpid()}.tmp"
    try:
        aside.write_bytes(content)
        put_in_place(aside, path)
    except OSError as error:
        raise refused(error, "A network", path) from error
    finally:
        aside.unlink(missing_ok=True)
    return digest


def load(store: "Store", digest: str) -> dict[str, npt.NDArray[np.generic]]:
    """Return the tensors of a kept network by name.

    Raises:
        LabError: there is none of that name, or its file is damaged.
    """
    path = store.networks / f"{digest}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabError(
            "Unknown network", f"The store has no uploaded network `{digest[:12]}`.", "Upload it again."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise LabError("A network is damaged", f"`{path}` is not what was saved.", "Upload it again.")
    return read(content, path.name)


def read(content: bytes, name: str) -> dict[str, npt.NDArray[np.generic]]:
    """Return the tensors of a safetensors file.

    Raises:
        LabError: it is too large, no such file, empty, or holds NaN or infinity.
    """
    if len(content) > LARGEST:
        raise LabError(
            "The network is too large",
            f"`{name}` has {len(content) >> 20:,} MiB; at most {LARGEST >> 20} are read.",
            "Connect smaller networks.",
        )
    if content[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise LabError(
            "This file is a pickle",
            f"`{name}` was written by `torch.save` or pickle, which would run code when read.",
            "Write it with `safetensors.torch.save_file(model.state_dict(), ...)`.",
        )
    try:
        tensors = from_bytes(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise LabError(
            "This file is no safetensors",
            f"`{name}` cannot be read as safetensors ({error}).",
            "Write it with `safetensors.torch.save_file(model.state_dict(), ...)`, in float32 or float64.",
        ) from error
    if not tensors:
        raise LabError("The network is empty", f"`{name}` holds no tensor.", "Save a whole state dict.")
    for key, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise LabError(
                "Weights that are not finite",
                f"`{name}`: `{key}` holds NaN or infinity.",
                "Use an earlier checkpoint of a run that diverged.",
            )
    return dict(tensors)
