"""People share views, guests see them, and a report is made, read and printed, in a real browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.dashboard.conftest import settle
from tests.dashboard.lab_fixture import build
from tests.dashboard.sign_in_fixture import Hosted, hosted

pytestmark = pytest.mark.browser
STUDY = "digits-shuffling"
SEEDS = ", ".join(["0", "1"] * 1500)
"""More than an address may have on its way through most servers."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    store = build(tmp_path_factory.mktemp("hosted") / "lab", seeds=3, points=20)
    store.catalog.save_study("secret", "Secret", "Not for guests.", {}, "engine")
    store.catalog.set_role("rosa@lab.example", "researcher")
    with hosted(store) as lab:
        yield lab
    store.close()


@pytest.fixture
def rosa(browser: Browser, lab: Hosted) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"{lab.address}/traces?study={STUDY}&arms=SS&traces.scale=linear")
    page.get_by_role("link", name="Sign in with").click()
    page.get_by_role("button", name="rosa", exact=True).click()
    expect(page.locator("h1")).to_have_text("Traces")
    settle(page)
    yield page
    context.close()


def body(page: Page) -> Locator:
    return page.locator("[data-testid=stPopoverBody]")


def test_a_view_goes_to_the_lab_by_a_short_link_and_to_a_guest_by_a_public_one(
    lab: Hosted, rosa: Page, browser: Browser
) -> None:
    rosa.get_by_role("textbox", name="Seeds").fill(SEEDS)
    rosa.get_by_role("textbox", name="Seeds").press("Enter")
    settle(rosa)
    rosa.get_by_role("button", name="Share").click()
    rosa.get_by_role("textbox", name="Title").fill("SS <b>alone</b>")
    rosa.get_by_role("button", name="Save this view").click()
    expect(body(rosa).get_by_text("SS <b>alone</b> is saved.")).to_be_visible()
    short = body(rosa).locator("code").first.inner_text()
    assert re.fullmatch(rf"{lab.address}/v/\w{{8}}", short)
    body(rosa).get_by_role("button", name="Make a public link").click()
    expect(body(rosa).get_by_text("shown this once")).to_be_visible()
    public = body(rosa).locator("code").nth(1).inner_text()

    again = rosa.context.new_page()
    again.goto(short)
    settle(again)
    assert urlsplit(again.url).path.endswith("/traces")
    expect(again.get_by_role("textbox", name="Seeds")).to_have_value(SEEDS)
    expect(again.get_by_role("radio", name="linear")).to_be_checked()

    guests = browser.new_context(viewport={"width": 1280, "height": 800})
    guest = guests.new_page()
    guest.goto(public)
    expect(guest.locator("h1")).to_have_text("Traces")
    settle(guest)
    expect(guest.get_by_role("textbox", name="Seeds")).to_have_value(SEEDS)
    expect(guest.get_by_text("public link").first).to_be_visible()
    for absent in ("Share", "Notes", "Add to a report", "Sign out"):
        assert not guest.get_by_role("button", name=absent).count()
    assert not guest.locator("[data-testid=stTopNavLink]").count()
    guest.get_by_role("button", name="Table").click()
    expect(body(guest).get_by_text(re.compile("rows, as drawn"))).to_be_visible()
    guest.keyboard.press("Escape")
    guest.get_by_role("button", name="Export").click()
    with guest.expect_download() as waiting:
        body(guest).get_by_role("button", name="CSV").click()
    assert Path(waiting.value.path()).read_text().startswith("arm,seed")
    assert not body(guest).get_by_role("button", name="Add to a report").count()
    for elsewhere in ("?study=secret", "runs"):
        guest.goto(f"{lab.address}/{elsewhere}")
        settle(guest)
        assert "Secret" not in guest.locator("body").inner_text()
        assert guest.locator("h1").inner_text() == "Traces"

    rosa.get_by_role("button", name="Take it back").click()
    expect(rosa.get_by_role("button", name="Make a public link")).to_be_visible()
    guest.goto(public)
    expect(guest.get_by_text("The link leads nowhere")).to_be_visible()
    guests.close()


def test_a_figure_comes_back_from_its_file_and_stands_in_a_report_that_prints(
    lab: Hosted, rosa: Page, tmp_path: Path
) -> None:
    rosa.get_by_role("button", name="Export").click()
    with rosa.expect_download() as waiting:
        body(rosa).get_by_role("button", name="JSON").click()
    told = json.loads(Path(waiting.value.path()).read_text())
    body(rosa).get_by_role("button", name="Add to a report").click()
    dialog = rosa.get_by_role("dialog", name="Add to a report")
    dialog.get_by_role("textbox", name="Title of the report").fill("What SS does")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(rosa.get_by_text("Added to")).to_be_visible()

    # What a stranger's file says is text; nothing of it is fetched.
    picture = "![x](https://evil.example/x.png) <img src='https://evil.example/y.png'>"
    told |= {"caption": picture, "fidelity": picture}
    told["how"] |= dict.fromkeys(("query", "formula", "source", "code", "data"), f"` {picture}")
    (tmp_path / "figure.json").write_text(json.dumps(told))
    asked = set[str]()
    rosa.on("request", lambda request: asked.add(urlsplit(request.url).hostname or ""))
    rosa.goto(f"{lab.address}/reports?reports.part=Open%20a%20figure")
    rosa.locator("input[type=file]").set_input_files(tmp_path / "figure.json")
    expect(rosa.locator("[data-testid=stVegaLiteChart] .marks")).to_be_visible()
    expect(rosa.get_by_text("all 60 points").or_(rosa.get_by_text("evil.example").first)).to_be_visible()
    rosa.get_by_role("button", name="How this was computed").click()
    expect(body(rosa).get_by_text("Data version")).to_be_visible()
    rosa.keyboard.press("Escape")
    rosa.get_by_role("button", name="See it as it would be drawn today").click()
    expect(rosa.locator("h1")).to_have_text("Traces")
    settle(rosa)
    assert "traces.scale=linear" in rosa.url
    assert asked <= {"localhost", ""}

    rosa.get_by_role("link", name="Reports").click()
    rosa.get_by_role("radio", name="Reports").click()
    rosa.get_by_role("link", name="What SS does").click()
    expect(rosa.get_by_role("heading", name=f"Traces of {STUDY}")).to_be_visible()
    rosa.get_by_text("Edit", exact=True).click()
    rosa.get_by_role("button", name="Add text").click()
    body(rosa).get_by_role("textbox", name="Text").fill(f"## Why\n\n{picture}")
    body(rosa).get_by_role("button", name="Add", exact=True).click()
    expect(rosa.get_by_role("heading", name="Why")).to_be_visible()
    rosa.keyboard.press("Escape")
    rosa.get_by_role("button", name="Up").last.click()
    expect(rosa.locator("h3, h2").nth(1)).to_have_text("Why")
    (report,) = lab.store.catalog.reports()
    assert [next(iter(part)) for part in report.parts] == ["text", "figure"]
    rosa.goto(f"{lab.address}/reports?report={report.code}")
    settle(rosa)
    assert not rosa.get_by_text("the data have moved on").count()
    rosa.emulate_media(media="print")
    for hidden in ("stHeader", "stPopover", "stPageLink"):
        expect(rosa.locator(f"[data-testid={hidden}]").first).to_be_hidden()
    expect(rosa.get_by_text(re.compile(r"/v/\w{8}$"))).to_be_visible()
    rosa.set_viewport_size({"width": 700, "height": 900})
    drawn = rosa.locator("[data-testid=stVegaLiteChart] .marks").bounding_box()
    assert drawn is not None
    assert drawn["x"] + drawn["width"] <= 700
    assert rosa.pdf().startswith(b"%PDF")
    assert asked <= {"localhost", ""}
