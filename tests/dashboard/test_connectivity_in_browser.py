"""The parts of Connectivity as a person goes through them, in a real Chromium."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import settle
from tests.dashboard.test_in_browser import healthy

pytestmark = pytest.mark.browser
PARTS = ("Path", "Matrix", "Plane", "Merge", "Pruning")


def test_every_part_opens_by_a_click(made, visit, tmp_path):
    page = visit(made["full"], "connectivity")
    for part in PARTS:
        page.get_by_role("tab", name=part).click()
        settle(page)
        expect(page.get_by_role("tab", name=part)).to_have_attribute("aria-selected", "true")
        healthy(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        expect(page.locator("[data-testid=stVegaLiteChart] .marks").first).to_be_visible(timeout=20_000)
        if part != "Path":
            assert f"connectivity.part={part}" in page.url
        shots = Path(os.environ.get("DETOUR_SCREENSHOTS") or tmp_path)
        page.screenshot(path=shots / f"connectivity-{part.lower()}.png")


def test_a_click_on_a_cell_leads_to_the_path_of_its_pair(made, visit):
    page = visit(made["full"], "connectivity?connectivity.part=Matrix")
    cells = page.locator("[data-testid=stVegaLiteChart]").first.locator(".mark-rect.role-mark path")
    expect(cells.first).to_be_visible(timeout=20_000)
    # The cell beside the diagonal on top is that of SS 0 and SS 1, whose path is kept.
    cells.first.click()
    expect(page.get_by_role("tab", name="Path")).to_have_attribute("aria-selected", "true", timeout=20_000)
    settle(page)
    expect(page.get_by_role("combobox", name="Connection")).to_have_value(
        re.compile("SS · seed 0 to SS · seed 1")
    )
    healthy(page)
    page.get_by_role("tab", name="Matrix").click()
    settle(page)
    expect(page.get_by_role("tab", name="Matrix")).to_have_attribute("aria-selected", "true")
    # The last cell is that of RR 2 and SS 2, whose path is not.
    cells.last.click()
    expect(page.get_by_text("the form below is filled in")).to_be_visible(timeout=20_000)
    healthy(page)
