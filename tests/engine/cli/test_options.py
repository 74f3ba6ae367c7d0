"""What every command shares: help, the shared options, a reader that goes away."""

from pathlib import Path

import pytest

from engine.cli.main import commands, main
from tests.engine.cli.commandline import engine, start


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_help_with_store_and_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert "--store" in told
    assert "--json" in told


def test_options_may_stand_before_or_after_the_command(lab: Path) -> None:
    before = engine("--store", lab, "--json", "jobs")
    assert before[0] == 0
    assert (
        before[1]
        == engine("jobs", "--store", lab, "--json")[1]
        == engine("jobs", "--json", DETOUR_STORE=str(lab))[1]
    )


def test_a_reader_that_goes_away_is_no_error(lab: Path) -> None:
    process = start("--store", lab, "jobs")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Error" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
