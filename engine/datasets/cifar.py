"""CIFAR-10 and CIFAR-100 from the files of their binary version that a user has."""

import tarfile
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from data.errors import LabError
from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_setting
from engine.datasets._user_files import Stamp, md5, require_checksum, stamp, user_path

PIXELS = 3 * 32 * 32


class Version(NamedTuple):
    """What the binary version of one of the two data sets consists of.

    Attributes:
        train: files of training records.
        test: file of test records.
        labels: bytes before the pixels of a record, the last of them the class (CIFAR-100: coarse, fine).
        pickles: a file of the python version by which it is known.
        archive: name of the published archive.
        md5: its MD5 as published on the authors' page, cs.toronto.edu/~kriz/cifar.html.
    """

    train: tuple[str, ...]
    test: str
    labels: int
    pickles: str
    archive: str
    md5: str


VERSIONS = {
    10: Version(
        tuple(f"data_batch_{part}.bin" for part in range(1, 6)),
        "test_batch.bin",
        1,
        "data_batch_1",
        "cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
    ),
    100: Version(
        ("train.bin",), "test.bin", 2, "train", "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"
    ),
}


def shape(path: str = "", classes: int = 10, **_: Any) -> Shape:
    """Describe the data; the files are read, once as long as they do not change.

    Raises:
        LabError: as of `load`, but for the checksum and the labels.
    """
    train, _test = _records(stamp(own_files(path, classes)), classes)
    return Shape(len(train), (3, 32, 32), classes, "classes")


def load(path: str = "", classes: int = 10, sha256: str = "") -> Split:
    """Return the images, each channel standardized by its mean and deviation over the training images.

    Inputs are float32, which is half the memory and more than their 256 levels need. Of CIFAR-100 the 100
    fine classes are taken.

    Args:
        path: the published archive of the binary version, or the folder that it unpacks to.
        classes: 10 or 100.
        sha256: checksum of the archive; of a folder, of what ``sha256sum`` lists for the training files in
            order and then the test file. Empty for any.

    Raises:
        LabError: nothing there, the python version, a file missing or damaged, a class out of range, or
            another checksum.
    """
    files = own_files(path, classes)
    if sha256:
        require_checksum(files, sha256, _published(files, classes))
    parts = _records(stamp(files), classes)
    labels = VERSIONS[classes].labels
    train, test = (part[:, labels:].reshape(-1, 3, 1024) for part in parts)
    train_classes, test_classes = (part[:, labels - 1].astype(np.int64) for part in parts)
    highest = max(train_classes.max(initial=0), test_classes.max(initial=0))
    if highest >= classes:
        raise LabError(
            "Class out of range",
            f"`{path}` has a record of class {highest}, but dataset.classes is {classes}.",
            _remedy(classes),
        )
    levels = _levels(train)
    return Split(_standardized(train, levels), train_classes, _standardized(test, levels), test_classes)


def _levels(train: UInt8[np.ndarray, "examples 3 1024"]) -> Float32[np.ndarray, "3 256"]:
    """Return what each level of a channel becomes; counting levels gives exact moments in little memory."""
    levels = np.arange(256.0)
    table = np.empty((3, 256), np.float32)
    for channel in range(3):
        shares = np.bincount(train[:, channel].ravel(), minlength=256) / train[:, channel].size
        mean = shares @ levels
        deviation = np.sqrt(shares @ (levels - mean) ** 2)
        table[channel] = (levels - mean) / (deviation or 1)
    return table


def _standardized(
    pixels: UInt8[np.ndarray, "examples 3 1024"], levels: Float32[np.ndarray, "3 256"]
) -> Float32[np.ndarray, "examples 3 32 32"]:
    scaled = np.empty(pixels.shape, np.float32)
    for channel in range(3):
        scaled[:, channel] = levels[channel][pixels[:, channel]]
    return scaled.reshape(-1, 3, 32, 32)


def own_files(path: str = "", classes: int = 10, **_: Any) -> list[Path]:
    """Return the archive, or the folder's files, training first.

    Raises:
        LabError: nothing there, the python version, or a file missing.
    """
    require_setting(classes in VERSIONS, "classes", "10 or 100", classes)
    version = VERSIONS[classes]
    found = user_path(path, f"the binary version of CIFAR-{classes} ({version.archive}, or its folder)")
    if not found.is_dir():
        return [found]
    names = (*version.train, version.test)
    missing = [name for name in names if not (found / name).is_file()]
    if missing:
        _refuse([each.name for each in found.iterdir()], missing, path, classes)
    return [found / name for name in names]


@lru_cache(maxsize=1)
def _records(
    files: Stamp, classes: int
) -> tuple[UInt8[np.ndarray, "examples bytes"], UInt8[np.ndarray, "held_out bytes"]]:
    """Return the training and test records of files that have not changed since."""
    version = VERSIONS[classes]
    paths = [path for path, _, _ in files]
    contents = dict(
        _archived(paths[0], classes) if len(paths) == 1 else ((p.name, p.read_bytes()) for p in paths)
    )
    width = version.labels + PIXELS
    for name, content in contents.items():
        if not content or len(content) % width:
            raise LabError(
                "Damaged file",
                f"{name} of `{paths[0]}` has {len(content)} bytes, which is no multiple of the {width} bytes "
                f"of a record of CIFAR-{classes}.",
                _remedy(classes),
            )
    train = np.frombuffer(b"".join(contents[name] for name in version.train), np.uint8)
    test = np.frombuffer(contents[version.test], np.uint8)
    return train.reshape(-1, width), test.reshape(-1, width)


def _archived(path: Path, classes: int) -> Iterator[tuple[str, bytes]]:
    """Read the members that are needed, by their last name and without unpacking any to disk."""
    version = VERSIONS[classes]
    wanted = {*version.train, version.test}
    seen: list[str] = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = Path(member.name).name
                seen.append(name)
                if name in wanted and member.isreg() and (stream := archive.extractfile(member)):
                    wanted.remove(name)
                    yield name, stream.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise LabError(
            "Damaged archive",
            f"`{path}` cannot be read: {error}.{_published([path], classes)}",
            _remedy(classes),
        ) from error
    if wanted:
        _refuse(seen, sorted(wanted), str(path), classes)


def _refuse(names: Sequence[str], missing: Sequence[str], path: str, classes: int) -> None:
    """Say what is wrong with a folder or archive that lacks files."""
    if VERSIONS[classes].pickles in names:
        raise LabError(
            "The python version of CIFAR",
            f"`{path}` holds the python version of CIFAR-{classes}. Its files are pickles, which can run any "
            "code when they are read, so Detour never reads them.",
            _remedy(classes),
        )
    raise LabError("File missing", f"`{path}` has no {', '.join(missing)}.", _remedy(classes))


def _published(files: Sequence[Path], classes: int) -> str:
    """Return a sentence on whether an archive is the published one; nothing of a folder."""
    if len(files) > 1:
        return ""
    version = VERSIONS[classes]
    if (found := md5(files[0])) == version.md5:
        return f" It is {version.archive} as published: its MD5 is {found}."
    return f" It is not {version.archive} as published: its MD5 is {found}, not {version.md5}."


def _remedy(classes: int) -> str:
    return (
        f"Get the binary version, {VERSIONS[classes].archive}, from cs.toronto.edu/~kriz/cifar.html, and "
        "name it or its folder with dataset.path."
    )


DATASET = Dataset(
    title="CIFAR-10 and CIFAR-100",
    source="Krizhevsky 2009; the binary version, from files that you name with dataset.path",
    shape=shape,
    load=load,
    settings=defaults(load),
    files=own_files,
)
