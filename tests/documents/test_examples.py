"""The examples of the documents run; beside the other contracts they would be the longest file, run last."""

import re
import shutil
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.engine.recording import recorded_late  # noqa: F401  # a fixture
from tests.test_contracts import DOCUMENTS, ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if "```" in path.read_text()], ids=lambda path: path.name
)
def test_the_examples_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETOUR_STORE", raising=False)
    names: dict[str, object] = {}  # a guide's later example goes on from an earlier one
    shutil.copytree(ROOT / "tests/data/importers/written/binary/torch", tmp_path / "events")
    fences = re.findall(r"```(\w*) ?([^\n`]*)\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    for kind, file, block in fences:
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(block, encoding="utf-8")
        elif kind == "python":
            exec(compile(block, str(document), "exec"), names)
        for line in block.strip().splitlines() if not kind else []:
            if line.startswith("python -m engine"):
                assert main(line.removeprefix("python -m engine ").split()) == 0, line
