"""A training that is begun in a browser outlives its tab and a restart of everything, in a real Chromium."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from data.store import Store, open_store
from tests.dashboard.conftest import settle
from tests.dashboard.test_in_browser import healthy

pytestmark = pytest.mark.browser
STUDY = "digits-shuffling@epochs=60"


def moved(store: Store, beyond: int) -> int:
    """Wait until the training is further than it was, and return how far."""
    deadline = time.monotonic() + 90
    while (job := store.catalog.job(1)).step <= beyond and job.status != "done":
        assert time.monotonic() < deadline, (store.logs / "1.log").read_text()
        time.sleep(0.05)
    return job.step


def test_a_training_outlives_its_tab_and_a_restart(visit, shut, tmp_path):
    root: Path = tmp_path / "lab"
    store = open_store(root, create=True)
    address = "train?train.study=digits-shuffling&train.seeds=1&train.set=epochs=60"
    page = visit(root, address)
    page.locator("[data-testid=stMultiSelect] input").click()
    page.get_by_role("option", name="SS", exact=True).click()
    page.keyboard.press("Escape")
    asked = "python -m engine train digits-shuffling --seeds 1 --arms SS --set epochs=60"
    expect(page.locator("[data-testid=stCode]")).to_have_text(asked)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_text(re.compile("Training digits-shuffling@.?epochs=60")).first).to_be_visible()
    healthy(page)
    step = moved(store, 0)
    page.context.close()
    step = moved(store, step)
    job = store.catalog.job(1)
    assert job.pid is not None
    shut(root)
    os.kill(job.pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while (status := store.catalog.job(1).status) == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status == "queued", (store.logs / "1.log").read_text()
    assert step <= store.catalog.job(1).step < 1920
    page = visit(root, "train?job=1")
    expect(page.get_by_text(re.compile("It is done; it worked"))).to_be_visible(timeout=120_000)
    settle(page)
    healthy(page)
    expect(page.get_by_text("1 done")).to_be_visible()
    expect(page.get_by_role("button", name="Whole log")).to_be_visible()
    assert store.traces.count(STUDY) == 1921
    assert store.catalog.job(1).pid != job.pid
    assert "goes back to the queue at SIGTERM" in (store.logs / "1.log").read_text()
    store.close()
