"""The parts of Shuffling as a person goes through them, in a real Chromium."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import settle
from tests.dashboard.test_in_browser import healthy

pytestmark = pytest.mark.browser
PARTS = ("Effect", "Why", "Divergence", "Orderings", "What if")


def test_every_part_opens_by_a_click_and_by_its_link(made, visit, tmp_path):
    page = visit(made["full"], "shuffling")
    for part in PARTS:
        page.get_by_role("tab", name=part).click()
        settle(page)
        expect(page.get_by_role("tab", name=part)).to_have_attribute("aria-selected", "true")
        healthy(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        if part != "Effect":
            assert f"shuffling.part={part.replace(' ', '+')}" in page.url
        shots = Path(os.environ.get("DETOUR_SCREENSHOTS") or tmp_path)
        page.screenshot(path=shots / f"shuffling-{part.lower().replace(' ', '-')}.png", full_page=False)
    again = visit(made["full"], "shuffling?shuffling.part=Divergence", "dark")
    expect(again.get_by_text("Time to divergence").first).to_be_visible()
    healthy(again)


def test_the_slider_moves_by_keyboard_and_its_link_restores_it(made, visit):
    page = visit(made["full"], "shuffling?shuffling.part=Why")
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", "step 3,776")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile(r"shuffling\.step="))
    settle(page)
    expect(slider).to_have_attribute("aria-valuetext", "step 640")
    expect(page.locator("[data-testid=stVegaLiteChart] .mark-rule").first).to_be_attached()
    again = visit(made["full"], page.url.split("/", 3)[3])
    expect(again.get_by_role("slider")).to_have_attribute("aria-valuetext", "step 640")
    healthy(again)
