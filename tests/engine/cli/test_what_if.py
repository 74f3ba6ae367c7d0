import io
import json
import sys
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.datasets import dataset
from tests.engine.cli.commandline import answer

X, Y, *_ = dataset("six-points").load()
SIX = "\n".join(" ".join(map(repr, [*row, sign])) for row, sign in zip(X.tolist(), Y.tolist(), strict=True))


def test_the_six_points_by_name_by_file_and_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points.txt").write_text(SIX)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SIX.encode())))
    found = [answer("what-if", file, "--batch-size", 2) for file in ("six-points", "points.txt", "-")]
    for one, name in zip(found, ("six-points", "points.txt", "standard input"), strict=True):
        assert one["name"] == name
        assert one["counts"] == {"bounded": 48, "no divergence": 192, "GD risk diverges": 480}
        assert one["slopes"] == found[0]["slopes"]
        assert one["reshuffled"]["kind"] == "bounded"
    assert [path.name for path in tmp_path.iterdir()] == ["points.txt"]  # no store is made


def test_it_is_told_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    orders = tmp_path / "orders.txt"
    orders.write_text("0 3 1 4 2 5\n0 1 2 3 4 5\n")
    assert main(["what-if", "six-points", "--batch-size", "2", "--orders", str(orders)]) == 0
    out = capsys.readouterr().out
    assert "Batches of two without eps keep only signs" in out
    assert "Worst: {0, 3} {1, 4} {2, 5}" in out
    assert "1      GD risk diverges  0.548" in out
    assert "Of all 15 subsets of 2: Nothing separates" in out
    assert main(["what-if", "gaussian-teacher", "--batch-size", "5", "--draws", "20", "--eps", "1e-5"]) == 0
    out = capsys.readouterr().out
    assert "(95 % interval)" in out
    assert "The last batch has 2 of 5 examples" in out


def test_columns_and_classes_are_chosen(tmp_path: Path) -> None:
    file = tmp_path / "flowers.csv"
    file.write_text("kind,x,y\na,1,2\nb,3,1\nc,2,2\na,0,5\n")
    words = ("what-if", file, "--batch-size", 2, "--label", "kind", "--positive", "c", "--intercept")
    found = answer(*words, "--scale-trained")
    assert found["classes"]["positive"] == {"names": ["c"], "others": 0, "examples": 1}
    assert (found["features"], found["intercept"], found["scale_trained"]) == (2, True, True)
    assert json.dumps(answer(*words, "--seed", 3)) != json.dumps(found)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere.csv", "--batch-size", "2"), "`nowhere.csv`: No such file"),
        (("six-points", "--batch-size", "9"), "`batch_size` must be 1 to 6"),
        (("six-points", "--batch-size", "2", "--label", "x"), "has its own labels"),
        (("six-points", "--batch-size", "2", "--orders", "nowhere"), "`nowhere`"),
        ((".", "--batch-size", "2"), "`.`"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["what-if", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert "Traceback" not in err
