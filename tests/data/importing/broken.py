"""Broken files: every fixture damaged in many ways, and what people and attackers come up with."""

import bz2
import gzip
import io
import pickle
import random
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

WRITTEN = Path(__file__).parents[1] / "importers" / "written"


@cache
def corpus() -> dict[str, bytes]:
    """Return files by name; the same ones every time."""
    return dict([*_by_hand(), *_packed(), *_damaged(random.Random(7))])


def _by_hand() -> Iterator[tuple[str, bytes]]:
    texts = {
        "empty.csv": "",
        "newline.csv": "\n",
        "spaces.csv": "   \n  \n",
        "header_only.csv": "step,loss\n",
        "ragged.csv": "step,loss\n0,1\n1,2,3\n",
        "short.csv": "a,b,c\n1,2\n3\n",
        "one_column.csv": "loss\n1\nx\n",
        "open_quote.csv": 'step,loss\n0,"1\n1,2\n',
        "doubled.csv": "step,loss,loss\n0,1,2\n",
        "case.csv": "step,Loss,LOSS,loss\n0,1,2,3\n",
        "huge.csv": "step,loss\n0,1e400\n1,-1e400\n",
        "huge_step.csv": "step,loss\n1e30,1\n",
        "text_only.csv": "a,b\nx,y\n",
        "mixed.csv": "step,loss\n0,1\nx,y\n",
        "no_header.csv": "1,2\n3,4\n",
        "nul.csv": "step,loss\n0,1\0\n",
        "bom_twice.csv": "\ufeff\ufeffstep,loss\n0,1\n",
        "long_name.csv": "step," + "x" * 5000 + "\n0,1\n",
        "wide.csv": ",".join(f"c{i}" for i in range(5000)) + "\n" + "1," * 4999 + "1\n",
        "formula.csv": "step,=cmd|' /C calc'!A0\n0,1\n",
        "html.csv": "step,<script>alert(1)</script>\n0,1\n",
        "injection.csv": 'step,"""); DROP TABLE runs; --"\n0,1\n',
        "empty_names.csv": ",,\n1,2,3\n",
        "reserved.csv": "run,step,arm,seed,epoch,seconds,x,value,kind\n0,0,0,0,0,0,0,0,0\n",
        "negative_seed.csv": "step,seed,loss\n0,-1,1\n",
        "seed_fraction.csv": "step,seed,loss\n0,0.5,1\n",
        "fractional.csv": "step,loss\n0.5,1\n1.5,2\n",
        "times.csv": "time,loss\n99999999999999999,1\n",
        "dates.csv": "date,loss\n2024-13-45,1\n",
        "comment_only.csv": "# nothing\n# here\n",
        "monitor_broken.csv": '#{"t_start": \nr,l,t\n1,2,3\n',
        "monitor_text.csv": '#{"t_start": "x"}\nr,l,t\na,b,c\n',
        "cr.csv": "step,loss\r0,1\r1,2\r",
        "mixed_ends.csv": "step,loss\r\n0,1\n1,2\r\n",
        "tabs.csv": "step\tloss\n0\t1\n1,2\n",
        "json_nothing.json": "",
        "json_null.json": "null",
        "json_number.json": "3",
        "json_text.json": '"hi"',
        "json_list.json": "[]",
        "json_object.json": "{}",
        "json_mixed.json": '[{"a": 1}, 2, "x"]',
        "json_cut.json": '[{"step": 0, "loss": 1}, {"st',
        "json_deep.json": "[" * 100_000,
        "json_deep_object.jsonl": '{"a":' * 50_000 + "1" + "}" * 50_000,
        "json_huge.jsonl": '{"step": 0, "loss": ' + "9" * 5000 + "}\n",
        "json_lone.jsonl": '{"step": 0, "loss": 1, "n": "\\ud800"}\n',
        "json_twice.jsonl": '{"step": 0, "step": 1, "loss": 2}\n',
        "json_words.jsonl": "not json\nat all\n",
        "json_half.jsonl": '{"step": 0, "loss": 1}\n{"step": 1, "lo',
        "json_long.json": '{"step": [0, 1], "loss": [1]}',
        "json_nan.jsonl": '{"step": NaN, "loss": NaN}\n',
        "trainer.json": '{"log_history": "x"}',
        "trainer_empty.json": '{"log_history": []}',
        "trainer_mixed.json": '{"log_history": [1, null, {"step": 1, "loss": "x"}], "global_step": 1}',
        "meta.yaml": "run_name: &a [*a]\n",
    }
    for name, text in texts.items():
        yield name, text.encode("utf-8", "surrogatepass")
    csv = "step,loss\n0,1\n1,2\n"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp500", "utf-7"):
        yield f"in_{encoding}.csv", csv.encode(encoding)
    yield "latin.csv", "step,perte_é\n0,1\n".encode("latin-1")
    yield "shift_jis.csv", "step,損失\n0,1\n".encode("shift_jis")
    noise = random.Random(1)
    for size in (1, 2, 7, 100, 5000):
        for name in ("csv", "json", "npy", "parquet", "sqlite", "duckdb", "tfevents", "zip"):
            yield f"noise{size}.{name}", noise.randbytes(size)
    for name, magic in {
        "png": b"\x89PNG\r\n\x1a\n",
        "gz": b"\x1f\x8b\x08",
        "zip": b"PK\x03\x04",
        "xz": b"\xfd7zXZ\0",
        "bz2": b"BZh9",
        "parquet": b"PAR1",
        "arrow": b"ARROW1\0\0",
        "npy": b"\x93NUMPY\x01\0",
        "sqlite": b"SQLite format 3\0",
        "duckdb": b"12345678DUCK",
        "elf": b"\x7fELF",
        "feather": b"FEA1",
        "tfevents": struct.pack("<Q", 24),
        "exe": b"MZ\x90",
        "pdf": b"%PDF-1.7",
        "stream": b"\xff\xff\xff\xff\x10\0\0\0",
    }.items():
        yield f"only_magic.{name}", magic
        yield f"magic_and_noise.{name}.csv", magic + noise.randbytes(600)
    for protocol in range(6):
        yield f"pickle{protocol}.pkl", pickle.dumps({"loss": [1.0]}, protocol=protocol)
    for name, array in {
        "objects": np.array([{"a": 1}], dtype=object),
        "texts": np.array(["a", "b"]),
        "complex": np.ones(3, complex),
        "dates": np.array(["2024-01-01"], "datetime64[D]"),
        "none": np.empty((0,)),
        "scalar": np.array(1.0),
        "four": np.ones((2, 2, 2, 2)),
    }.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        yield f"{name}.npy", buffer.getvalue()
        buffer = io.BytesIO()
        np.savez(buffer, **{name: array}, other=np.ones(5))
        yield f"{name}.npz", buffer.getvalue()
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    yield "claims_much.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header
    header = b"{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (1,), }"
    yield "runs_code.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(8)


def _packed() -> Iterator[tuple[str, bytes]]:
    csv = b"step,loss\n0,1\n"

    def zipped(members: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    inner = zipped({"a.csv": csv})
    for _ in range(4):
        inner = zipped({"inner.zip": inner})
    yield "nested.zip", inner
    yield "nothing.zip", zipped({})
    yield "leads_out.zip", zipped({"../../a.csv": csv, "/a.csv": csv, "..\\a.csv": csv})
    yield "bomb.zip", zipped({"a.csv": bytes(20 << 20)})
    yield "bomb.gz", gzip.compress(bytes(20 << 20), 1)
    yield "weights.pt", zipped({"archive/data.pkl": pickle.dumps([1]), "archive/version": b"3"})
    yield "office.xlsx", zipped({"[Content_Types].xml": b"<xml/>", "xl/workbook.xml": b"<xml/>"})
    for pack in (gzip.compress, bz2.compress):
        yield f"cut.{pack.__module__}", pack(csv * 100)[:-9]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            entry = tarfile.TarInfo("device")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    yield "devices.tar", buffer.getvalue()


def _damaged(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Cut and flip bytes of every file that a real tool wrote."""
    for path in sorted(
        path for path in WRITTEN.rglob("*") if path.is_file() and path.suffix not in (".py", ".md")
    ):
        content = path.read_bytes()
        if not content:
            continue
        name = path.relative_to(WRITTEN).as_posix()
        for share in (0.3, 0.9):
            yield f"cut{share}/{name}", content[: int(len(content) * share)]
        for time in range(2):
            broken = bytearray(content)
            for _ in range(max(1, len(broken) // 200)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            yield f"flipped{time}/{name}", bytes(broken)
