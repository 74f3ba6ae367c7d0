"""A process is the same one as long as it lives, whatever the clock says, and no other is taken for it."""

import psutil
import pytest

from engine.jobs.processes import alive, me


def test_setting_the_clock_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    if not psutil.LINUX:
        pytest.skip("elsewhere a start in seconds since the epoch stays as it was written down")
    process = me()
    set_at = psutil.boot_time() + 3600
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: set_at)
    assert alive(process.pid, process.started)


def test_a_process_id_that_is_used_again_is_another_process() -> None:
    process = me()
    assert not alive(process.pid, process.started - 1)
    assert not alive(process.pid, process.started - 10**11)  # the same moment after another boot


def test_a_start_that_an_earlier_version_wrote_down_is_known() -> None:
    process = psutil.Process()
    assert alive(process.pid, process.create_time())
    assert not alive(process.pid, process.create_time() - 60)
