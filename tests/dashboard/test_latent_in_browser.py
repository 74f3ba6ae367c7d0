"""From a fit to what drives a change of state, to traces aligned at it, and to a file and back."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from data.store import open_store
from tests.dashboard.conftest import settle
from tests.dashboard.test_in_browser import healthy
from tests.postgresql import copy_store

pytestmark = pytest.mark.browser


def test_a_transition_leads_to_traces_aligned_at_it_and_the_link_restores_them(made, visit):
    page = visit(made["full"], "latent_states?latent.move=State+1+to+State+2")
    expect(page.get_by_text("What drives State 1 to State 2")).to_be_visible()
    page.get_by_role("link", name="Traces aligned at State 1 to State 2").click()
    expect(page.locator("h1")).to_have_text("Traces")
    settle(page)
    expect(page.get_by_text("0 is the move from State 1 to State 2.")).to_be_visible()
    page.wait_for_url(re.compile("traces.analysis="))
    page.get_by_role("spinbutton", name="Steps around it").fill("640")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("traces.step.around=640"))
    settle(page)
    healthy(page)
    again = visit(made["full"], page.url.split("/", 3)[3])
    expect(again.get_by_text("0 is the move from State 1 to State 2.")).to_be_visible()
    expect(again.get_by_role("spinbutton", name="Steps around it")).to_have_value("640")
    expect(again.locator("[data-testid=stVegaLiteChart] .marks").first).to_be_visible(timeout=20_000)
    healthy(again)


def test_a_fit_goes_out_as_a_file_and_comes_back(made, visit, tmp_path):
    root = tmp_path / "files"
    copy_store(made["full"], root)
    page = visit(root, "latent_states")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download fit").click()
    file = Path(waiting.value.path()).read_bytes()
    assert waiting.value.suggested_filename == "digits-shuffling-states-1.json"
    page.get_by_role("button", name="Open a fit").click()
    page.set_input_files(
        ".st-key-latent-file input", {"name": "mine.json", "mimeType": "application/json", "buffer": file}
    )
    page.locator(".st-key-latent-file-open button").click()
    expect(page.get_by_text(re.compile("read from mine.json"))).to_be_visible(timeout=30_000)
    page.wait_for_url(re.compile("from%20mine.json|from\\+mine.json"))
    settle(page)
    healthy(page)
    store = open_store(root)
    assert [row.summary.get("origin") for row in store.catalog.analyses(kind="latent")] == ["mine.json", None]
    store.close()


def test_the_form_reckons_anew_without_drawing_the_page(made, visit):
    page = visit(made["full"], "latent_states")
    page.get_by_text("Fit other states").click()
    expect(page.get_by_text("266 climbs, about")).to_be_visible()
    restarts = page.get_by_role("spinbutton", name="Restarts")
    restarts.fill("1")
    restarts.press("Enter")
    expect(page.get_by_text("98 climbs, about")).to_be_visible()
    healthy(page)
