"""Logs made elsewhere, from a folder on a disk to latent states, and out again, in a real Chromium."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from data.store import open_store
from tests.dashboard.conftest import settle
from tests.dashboard.imported_fixture import ODD, logs
from tests.dashboard.test_in_browser import healthy

pytestmark = pytest.mark.browser


def shot(page: Page, name: str, folder: Path) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.screenshot(path=Path(os.environ.get("DETOUR_SCREENSHOTS") or folder) / f"upload-{name}.png")


def test_logs_go_in_are_corrected_seen_fitted_and_taken_out_again(visit, tmp_path):
    root, given = tmp_path / "lab", tmp_path / "runs"
    open_store(root, create=True).close()
    given.mkdir()
    for name, content in (logs(6, 40) | {"torn.csv": b"step,loss\n1,2\n2,3,4\n"}).items():
        (given / name).write_bytes(content)
    page = visit(root, "upload")
    page.get_by_role("radio", name="A folder").click()
    settle(page)
    folder = page.locator("[data-testid=stFileUploader] input[webkitdirectory]")
    folder.wait_for(state="attached", timeout=20_000)  # the field for files gives way to one for a folder
    folder.set_input_files(given)
    expect(page.get_by_text(re.compile("^13 files"))).to_be_visible()
    page.get_by_role("button", name="Read the files").click()
    expect(page.get_by_text("12 files, 480 rows in 12 tables.")).to_be_visible(timeout=40_000)
    settle(page)
    expect(page.get_by_text("What was not taken")).to_be_visible()
    expect(page.get_by_role("combobox", name="Study")).to_have_value("runs")
    shot(page, "recognized", tmp_path)
    page.get_by_role("button", name="Use the lab's names").click()
    expect(page.get_by_role("button", name="Use the lab's names")).to_be_disabled(timeout=40_000)
    address = page.url.split("/", 3)[3]
    assert "upload.token=" in address
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Imported 12 runs and 480 rows into runs.")).to_be_visible(timeout=40_000)
    settle(page)
    shot(page, "imported", tmp_path)
    healthy(visit(root, address, "dark"))
    page.get_by_role("link", name="Traces").last.click()
    expect(page.locator("h1")).to_have_text("Traces")
    settle(page)
    expect(page.locator("[data-testid=stVegaLiteChart] .marks").first).to_be_visible(timeout=20_000)
    metric = page.get_by_role("combobox", name="Metric")
    metric.fill("val/acc")
    metric.press("Enter")
    settle(page)
    expect(page.get_by_text(ODD).first).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart] .marks").first).to_be_visible(timeout=20_000)
    healthy(page)
    page.get_by_role("link", name="Latent states").click()
    expect(page.get_by_text("No latent states have been fitted yet")).to_be_visible()
    for name, number in (("Restarts", "1"), ("Refits", "0")):
        page.get_by_role("spinbutton", name=name).fill(number)
        page.get_by_role("spinbutton", name=name).press("Enter")
    for _ in range(6):  # at most two states
        page.get_by_role("slider").last.press("ArrowLeft")
    settle(page)
    page.get_by_role("button", name="Fit latent states").click()
    expect(page.get_by_text("How far to believe it")).to_be_visible(timeout=90_000)
    settle(page)
    healthy(page)
    again = visit(root, address)
    again.get_by_role("button", name="Undo").click()
    expect(again.get_by_text("is undone: they count nowhere")).to_be_visible()
    healthy(again)
    store = open_store(root)
    assert not store.catalog.studies()
    assert [row.undone_at is None for row in store.catalog.uploads()] == [False]
    store.close()
