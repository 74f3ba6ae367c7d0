import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest

from data.errors import LabError
from engine.datasets import Shape
from engine.datasets._check import require_usable
from engine.datasets.cifar import VERSIONS, load, shape

ROWS = 4


def records(classes, seed, rows=ROWS):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, (rows, 1)) if classes == 10 else rng.integers(0, [20, 100], (rows, 2))
    return np.hstack([labels, rng.integers(0, 256, (rows, 3072))]).astype(np.uint8)


@pytest.fixture(params=[10, 100])
def classes(request):
    return request.param


@pytest.fixture
def files(classes):
    names = (*VERSIONS[classes].train, VERSIONS[classes].test)
    return {name: records(classes, seed) for seed, name in enumerate(names)}


@pytest.fixture
def folder(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.tobytes())
    return str(tmp_path)


def packed(path, contents):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


@pytest.fixture
def archive(tmp_path, files):
    # As in the published archive the files lie in a folder, among others and in another order.
    contents = {f"cifar/{name}": content.tobytes() for name, content in reversed(files.items())}
    return packed(tmp_path / "cifar.tar.gz", {"cifar/readme.html": b"hello"} | contents)


@pytest.mark.parametrize("where", ["folder", "archive"])
def test_records_become_images_standardized_by_the_training_images(request, files, classes, where):
    path = request.getfixturevalue(where)
    split, rows = load(path, classes), ROWS * (5 if classes == 10 else 1)
    assert shape(path, classes) == Shape(rows, (3, 32, 32), classes, "classes")
    require_usable("cifar", split, shape(path, classes))
    every = [row for name in VERSIONS[classes].train for row in files[name]]
    tests = list(files[VERSIONS[classes].test])
    start = 1 if classes == 10 else 2
    for channel in range(3):
        of_channel = [[int(byte) for byte in row[start + 1024 * channel :][:1024]] for row in every]
        mean = np.mean(of_channel)
        deviation = np.std(of_channel)
        for images, labels, part in ((*split[:2], every), (*split[2:], tests)):
            for image, label, row in zip(images, labels, part, strict=True):
                assert label == row[start - 1]
                for y, x in ((0, 0), (0, 31), (1, 0), (17, 5), (31, 31)):
                    byte = int(row[start + 1024 * channel + 32 * y + x])
                    assert image[channel, y, x] == pytest.approx((byte - mean) / deviation, abs=1e-6)
    assert split.train_inputs.dtype == np.float32
    assert split.train_targets.dtype == np.int64


def test_a_channel_of_one_level_stays_finite(tmp_path):
    for name in (*VERSIONS[100].train, VERSIONS[100].test):
        rows = records(100, 0)
        rows[:, 2:1026] = 7
        (tmp_path / name).write_bytes(rows.tobytes())
    assert (load(str(tmp_path), 100).train_inputs[:, 0] == 0).all()


def test_the_python_version_is_refused_and_never_unpickled(tmp_path, classes):
    (tmp_path / VERSIONS[classes].pickles).write_bytes(pickle.dumps({"data": 1}))
    inside = {f"py/{VERSIONS[classes].pickles}": pickle.dumps({"data": 1})}
    for path in (str(tmp_path), packed(tmp_path / "python.tar.gz", inside)):
        for read in (load, shape):
            with pytest.raises(LabError, match=r"python version of CIFAR-.*pickles") as refused:
                read(path, classes)
            assert VERSIONS[classes].archive in refused.value.remedy


def test_missing_files_are_named(tmp_path, folder, files, classes):
    gone = VERSIONS[classes].test
    (tmp_path / gone).unlink()
    with pytest.raises(LabError, match=f"has no {gone}"):
        load(folder, classes)
    contents = {name: content.tobytes() for name, content in files.items() if name != gone}
    with pytest.raises(LabError, match=f"has no {gone}"):
        load(packed(tmp_path / "part.tar.gz", contents), classes)


def test_links_in_an_archive_are_not_followed(tmp_path, files):
    path = tmp_path / "links.tar.gz"
    (tmp_path / "secret").write_bytes(records(100, 0).tobytes())
    with tarfile.open(path, "w:gz") as archive:
        for name in ("train.bin", "test.bin"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            archive.addfile(link)
    with pytest.raises(LabError, match=r"has no test.bin, train.bin"):
        load(str(path), 100)


@pytest.mark.parametrize("content", [b"", b"\0" * 3000])
def test_a_file_cut_short_is_called_damaged(tmp_path, folder, classes, content):
    (tmp_path / VERSIONS[classes].train[-1]).write_bytes(content)
    with pytest.raises(
        LabError, match=f"has {len(content)} bytes, which is no multiple of the 307[34] bytes"
    ):
        shape(folder, classes)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_an_archive_cut_short_is_called_damaged_and_not_as_published(tmp_path, archive, classes, share):
    path = tmp_path / "cifar.tar.gz"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LabError, match=f"Damaged archive.*not {VERSIONS[classes].archive} as published"):
        load(archive, classes)


def test_a_class_out_of_range_is_refused(tmp_path, folder, files, classes):
    name = VERSIONS[classes].test
    rows = files[name].copy()
    rows[1, VERSIONS[classes].labels - 1] = classes
    (tmp_path / name).write_bytes(rows.tobytes())
    with pytest.raises(LabError, match=f"a record of class {classes}, but dataset.classes is {classes}"):
        load(folder, classes)


def test_the_checksum_is_of_the_archive_or_of_the_folders_listing(tmp_path, folder, archive, classes):
    names = (*VERSIONS[classes].train, VERSIONS[classes].test)
    listing = "".join(
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    )
    load(folder, classes, hashlib.sha256(listing.encode()).hexdigest())
    right = hashlib.sha256((tmp_path / "cifar.tar.gz").read_bytes()).hexdigest()
    load(archive, classes, right)
    with pytest.raises(LabError, match=f"is {right}, but dataset.sha256 is abc. It is not .* as published"):
        load(archive, classes, "abc")


def test_the_published_archive_is_recognized(archive, classes, monkeypatch):
    monkeypatch.setattr("engine.datasets.cifar.md5", lambda _: VERSIONS[classes].md5)
    with pytest.raises(LabError, match=f"It is {VERSIONS[classes].archive} as published"):
        load(archive, classes, "abc")


def test_a_path_must_be_named():
    with pytest.raises(LabError, match=r"binary version of CIFAR-100 \(cifar-100-binary.tar.gz"):
        shape(classes=100)
