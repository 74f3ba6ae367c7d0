"""Archives: what is in them is taken under our names, and nothing in them can lead out or fill the disk."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data.errors import LabError
from data.importing.gathering import Gathered, Given, gather
from data.importing.limits import Limits

CSV = b"step,loss\n0,1.0\n1,0.5\n"
SMALL = Limits(file_bytes=1 << 20, expanded_bytes=1 << 20, ratio=10, small_bytes=1 << 14, entries=20)


def gathered(path: Path, limits: Limits = SMALL) -> Gathered:
    room = path.parent / "room"
    room.mkdir()
    return gather([Given(path.name, path)], room, limits)


def zipped(path: Path, members: dict[str, bytes], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, mode: str, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_every_archive_gives_its_files(tmp_path: Path, kind: str) -> None:
    members = {"SS/seed_0/metrics.csv": CSV, "RR/seed_10/metrics.csv": CSV + b"2,0.1\n"}
    path = tmp_path / f"logs.{kind}"
    if kind == "zip":
        zipped(path, members)
    else:
        tarred(path, "w:" + kind.partition(".")[2], members)
    found = gathered(path)
    names = sorted(f"logs.{kind}/{name}" for name in members)
    assert [file.name for file in found.files] == names
    assert {file.name: file.path.read_bytes() for file in found.files} == {
        f"logs.{kind}/{name}": content for name, content in members.items()
    }
    assert not found.skipped


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_a_single_packed_file_loses_its_ending(tmp_path: Path, ending: str, pack) -> None:
    path = tmp_path / f"metrics.csv.{ending}"
    path.write_bytes(pack(CSV))
    (file,) = gathered(path).files
    assert (file.name, file.path.read_bytes()) == ("metrics.csv", CSV)


@pytest.mark.parametrize(
    "name", ["../out.csv", "/etc/out.csv", "a/../../out.csv", "C:/out.csv", "C:\\out.csv", "..\\out.csv"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leads_out_is_skipped_and_its_neighbour_taken(
    tmp_path: Path, name: str, kind: str
) -> None:
    members = {name: CSV, "good.csv": CSV}
    path = tmp_path / f"logs.{kind}"
    _ = zipped(path, members) if kind == "zip" else tarred(path, "w:", members)
    before = set(tmp_path.parent.rglob("out.csv"))
    found = gathered(path)
    assert [file.name for file in found.files] == [f"logs.{kind}/good.csv"]
    assert [one.why for one in found.skipped] == ["its name leads out of the archive"]
    assert set(tmp_path.parent.rglob("out.csv")) == before


def test_links_devices_and_hidden_entries_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "logs.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("device", tarfile.CHRTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        entry = tarfile.TarInfo(".hidden.csv")
        archive.addfile(entry, io.BytesIO(b""))
    linked = tmp_path / "linked.zip"
    with zipfile.ZipFile(linked, "w") as zip_archive:
        info = zipfile.ZipInfo("link.csv")
        info.external_attr = 0o120777 << 16
        zip_archive.writestr(info, "/etc/passwd")
    room = tmp_path / "room"
    room.mkdir()
    found = gather([Given("logs.tar", path), Given("linked.zip", linked)], room, SMALL)
    assert not found.files
    assert [one.why for one in found.skipped] == ["it is a link or a device"] * 3 + [
        "it is hidden",
        "it is a link or a device",
    ]


@pytest.mark.parametrize("kind", ["zip", "gzip", "tar.gz"])
def test_a_bomb_stops_at_its_ratio(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bomb.csv"
    zeros = bytes(1 << 19)
    if kind == "zip":
        zipped(path, {"good.csv": CSV, "bomb.csv": zeros})
    elif kind == "gzip":
        path.write_bytes(gzip.compress(zeros))
    else:
        tarred(path, "w:gz", {"good.csv": CSV, "bomb.csv": zeros})
    found = gathered(path)
    assert not found.files  # of such an archive nothing is trusted
    assert "unpacks to over 10 times" in found.skipped[-1].why
    assert sum(os.path.getsize(file) for file in (tmp_path / "room").iterdir()) < 1 << 20


def test_the_disk_is_protected_over_all_archives(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(700_000)
    for name in ("a.zip", "b.zip"):
        zipped(tmp_path / name, {"x.bin": noise})
    room = tmp_path / "room"
    room.mkdir()
    found = gather([Given(name, tmp_path / name) for name in ("a.zip", "b.zip")], room, SMALL)
    assert [file.name for file in found.files] == ["a.zip/x.bin"]
    assert "unpacks to more than" in found.skipped[0].why


def test_nested_archives_up_to_a_depth(tmp_path: Path) -> None:
    content, names = CSV, []
    for depth in range(3):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr("metrics.csv" if depth == 0 else "inner.zip", content)
        content = inner.getvalue()
        path = tmp_path / f"{depth}.zip"
        path.write_bytes(content)
        room = tmp_path / f"room{depth}"
        room.mkdir()
        found = gather([Given("logs.zip", path)], room, SMALL)
        names.append([file.name for file in found.files] + [one.why for one in found.skipped])
    assert names == [
        ["logs.zip/metrics.csv"],
        ["logs.zip/inner.zip/metrics.csv"],
        ["it is an archive within 2 others"],
    ]


def test_arrays_of_numpy_are_logs_and_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "traces.npz"
    np.savez(path, loss=np.ones(3))
    assert [file.name for file in gathered(path).files] == ["traces.npz"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz", "bz2", "xz"])
def test_a_damaged_archive_is_skipped_with_the_reason(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"logs.{kind}"
    noise = np.random.default_rng(0).bytes(5000)
    if kind == "zip":
        zipped(path, {"a.csv": noise})
    elif kind == "tar.gz":
        tarred(path, "w:gz", {"a.csv": noise})
    else:
        path.write_bytes({"gz": gzip, "bz2": bz2, "xz": lzma}[kind].compress(noise))  # type: ignore[attr-defined]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    found = gathered(path)
    assert not found.files
    assert "damaged" in found.skipped[0].why


def test_an_encrypted_entry_is_skipped(tmp_path: Path) -> None:
    path = zipped(tmp_path / "logs.zip", {"a.csv": CSV})
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    assert [one.why for one in gathered(path).skipped] == ["it is encrypted"]


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "logs.zip", {f"{i}.csv": CSV for i in range(21)})
    with pytest.raises(LabError, match="more than 20 files"):
        gathered(path)


def test_a_folder_is_walked_without_links_and_hidden_files(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    (folder / "SS").mkdir(parents=True)
    for name in ("SS/seed_10.csv", "SS/seed_9.csv", "top*[1].csv", ".hidden.csv"):
        (folder / name).write_bytes(CSV)
    (folder / "link.csv").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    found = gathered(folder)
    assert [file.name for file in found.files] == [
        "logs/SS/seed_9.csv",
        "logs/SS/seed_10.csv",
        "logs/top*[1].csv",
    ]
    assert all("*" not in str(file.path) for file in found.files)
    assert sorted(one.name for one in found.skipped) == ["logs/.hidden.csv", "logs/link.csv", "logs/linked"]


def test_a_file_past_the_limit_is_skipped_beside_a_good_one(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "large.csv").write_bytes(bytes(SMALL.file_bytes + 1))
    (folder / "good.csv").write_bytes(CSV)
    found = gathered(folder)
    assert [file.name for file in found.files] == ["logs/good.csv"]
    assert "at most 1 are taken" in found.skipped[0].why
