"""What a person sees and clicks, in a real Chromium."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from data.store import open_store
from data.traces import TraceWriter
from tests.dashboard import detours_fixture
from tests.dashboard.conftest import settle
from tests.dashboard.lab_fixture import METRICS
from tests.postgresql import copy_store

pytestmark = pytest.mark.browser
VIEWS = {
    "": "Studies",
    "runs": "Runs",
    "traces": "Traces",
    "latent_states": "Latent states",
    "detours": "Detours",
    "shuffling": "Shuffling",
    "connectivity": "Connectivity",
    "upload": "Upload",
    "train": "Train",
    "reports": "Reports",
    "admin": "Admin",
}


def healthy(page: Page) -> None:
    assert not page.locator("[data-testid=stException]").count()
    assert not page.locator("[data-testid=stAlertContentError]").count(), page.locator("main").inner_text()


def background(page: Page) -> str:
    told = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    return "dark" if sum(map(int, re.findall(r"\d+", told)[:3])) < 200 else "light"


@pytest.mark.parametrize("path", VIEWS)
def test_every_view_is_drawn_in_light_and_dark(made, visit, tmp_path, path):
    first, then = ("dark", "light") if path == "traces" else ("light", "dark")
    page = visit(made["full"], path, first)
    for theme in (first, then):
        page.emulate_media(color_scheme=theme)  # as when a person's system changes at dusk
        expect(page.locator("h1")).to_have_text(VIEWS[path])
        if theme == then:
            page.wait_for_timeout(500)
            settle(page)
        healthy(page)
        if path not in ("runs", "upload", "train", "reports", "admin"):
            expect(page.locator("[data-testid=stVegaLiteChart] .marks").first).to_be_visible(timeout=20_000)
        assert background(page) == theme
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        shots = Path(os.environ.get("DETOUR_SCREENSHOTS") or tmp_path)
        shots.mkdir(parents=True, exist_ok=True)
        shot = shots / f"{path or 'studies'}-{theme}.png"
        page.screenshot(path=shot)
        assert shot.stat().st_size > 20_000


@pytest.mark.parametrize("path", ["", "traces"])
def test_a_place_without_a_store_is_friendly(visit, tmp_path, path):
    page = visit(tmp_path / "nothing", path)
    expect(page.get_by_role("button", name="Train the demo study")).to_be_visible()
    healthy(page)


def test_a_link_restores_the_controls_and_a_control_changes_the_link(made, visit):
    page = visit(
        made["full"],
        "traces?arms=SS&arms=RR&seeds=0..3&metric=Frobenius%20norm&x=epoch&traces.epoch.range=5&traces.epoch.range=40",
    )
    sidebar = page.locator("[data-testid=stSidebar]")
    expect(sidebar.get_by_role("textbox", name="Seeds")).to_have_value("0..3")
    expect(sidebar.locator("[data-testid=stMultiSelect]").first).to_contain_text("SS")
    expect(sidebar.get_by_role("combobox", name="Metric")).to_have_value("Frobenius norm")
    chosen = sidebar.locator("[data-testid=stButtonGroup]").get_by_text("epoch")
    expect(chosen).to_be_visible()
    page.get_by_text("linear", exact=True).click()
    page.wait_for_url(re.compile("traces.scale=linear"))
    settle(page)
    assert "seeds=0..3" in page.url
    again = visit(made["full"], page.url.split("/", 3)[3])
    expect(again.locator("[data-testid=stSidebar]").get_by_role("textbox", name="Seeds")).to_have_value(
        "0..3"
    )
    healthy(again)


def test_the_choice_goes_along_to_another_view(made, visit):
    page = visit(made["full"], "traces?arms=RR&seeds=2")
    page.get_by_role("link", name="Runs").click()
    expect(page.locator("h1")).to_have_text("Runs")
    settle(page)
    expect(page.get_by_text("1 of 32 runs")).to_be_visible()


def test_a_live_refresh_shows_new_rows_and_keeps_the_selection(made, visit, tmp_path):
    root = tmp_path / "live"
    copy_store(made["running"], root)
    page = visit(root, "runs?seeds=0..2")
    grid = page.locator("[data-testid=stDataFrame]").first
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 36 + 18 + 2 * 33)  # the checkbox of the third row
    expect(page.get_by_text("12 of 16 runs · 1 selected")).to_be_visible()
    expect(page.get_by_text("Configuration of the selection")).to_be_visible()
    store = open_store(root)
    runs = store.catalog.runs()
    job = store.catalog.jobs()[0]
    third = sorted(runs, key=lambda run: (("SS", "RR", "SS no BN", "RR no BN").index(run.arm), run.seed))[2]
    # The first row goes, so that every position now means another run.
    store.catalog.update_runs([{"id": run.id, "step": 1234} for run in runs if run.seed < 3])
    store.catalog.delete_runs([run.id for run in runs if run.arm == "SS" and run.seed == 0])
    store.catalog.heartbeat(job.id, 1400, 1888, 700.0, "")
    expect(page.get_by_text("11 of 15 runs · 1 selected")).to_be_visible(timeout=15_000)
    page.get_by_role("button", name="Tag").click()
    expect(page.get_by_text(f"{third.arm}: seed {third.seed}").first).to_be_visible()
    store.close()


def test_a_live_chart_grows_while_a_job_writes(made, visit, tmp_path):
    root = tmp_path / "grows"
    copy_store(made["running"], root)
    page = visit(root, "traces?traces.scale=linear")
    badge = page.get_by_text(re.compile(r"[\d,]+ points"))
    before = badge.first.inner_text()
    store = open_store(root)
    runs = [run.id for run in store.catalog.runs()]
    with TraceWriter(store, store.catalog.jobs()[0].id, list(METRICS)) as writer:
        steps = np.full(len(runs), 1800)
        writer.write(
            runs, steps, steps / 32, steps * 0.004, {name: np.full(len(runs), 0.5) for name in METRICS}
        )
        writer.flush()
        expect(badge.first).not_to_have_text(before, timeout=15_000)
    assert "traces.scale=linear" in page.url
    healthy(page)
    store.close()


def test_the_keyboard_reaches_every_control(made, visit):
    page = visit(made["full"], "traces")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(() => { const e = document.activeElement; const w = e.closest('[class*=st-key-]');"
                " return w ? [...w.classList].find(c => c.startsWith('st-key-')) : e.tagName; })()"
            )
        )
    wanted = {
        "study",
        "arms",
        "seeds",
        "metric",
        "x",
        "traces-band",
        "traces-scale",
        "traces-smoothing",
        "traces-seeds",
    }
    assert {f"st-key-{key}" for key in wanted} <= reached, reached


def test_the_csv_of_a_figure_is_what_is_drawn(made, visit):
    page = visit(made["full"], "traces?arms=SS&seeds=1&traces.band=No%20band")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert lines[0].startswith("arm,seed,run,step,epoch,seconds,x,value")
    assert len(lines) == 61


def test_a_click_on_a_path_shows_its_runs_and_a_click_on_a_run_its_ribbon(visit, tmp_path):
    detours_fixture.build(tmp_path / "planted").close()
    page = visit(tmp_path / "planted", "detours")
    page.locator("[aria-label*='route: 0 → 1 → 3;']").first.click()
    page.wait_for_url(re.compile(r"detours\.path=0.*1.*3"))
    settle(page)
    page.locator("[aria-label*='run: plain · seed 4;']").first.click()
    page.wait_for_url(re.compile(r"detours\.run=plain"))
    expect(page.get_by_text(re.compile("converged at step")).first).to_be_visible()
    again = visit(tmp_path / "planted", page.url.split("/", 3)[3])
    expect(again.get_by_text(re.compile("converged at step")).first).to_be_visible()
    healthy(again)
