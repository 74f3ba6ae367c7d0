"""People sign in, see what their role lets them, leave, and come by a public link, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.access import FRESH_S
from tests.dashboard.lab_fixture import build
from tests.dashboard.sign_in_fixture import Hosted, hosted

pytestmark = pytest.mark.browser
STUDY = "digits-shuffling"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    store = build(tmp_path_factory.mktemp("hosted") / "lab", seeds=3, points=20)
    with hosted(store) as lab:
        yield lab
    store.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def sign_in(page: Page, who: str) -> None:
    page.get_by_role("link", name="Sign in with").click()
    page.get_by_role("button", name=who, exact=True).click()


def test_a_link_in_a_chat_leads_to_its_view_by_way_of_the_sign_in(lab: Hosted, page: Page) -> None:
    lab.store.catalog.set_role("vera@lab.example", "viewer")
    page.goto(f"{lab.address}/traces?study={STUDY}&x=epoch")
    expect(page.get_by_role("heading", name="Detour")).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText").startswith("Sign in with")
    sign_in(page, "vera")
    expect(page.locator("h1")).to_have_text("Traces")
    expect(page.locator("[data-testid=stVegaLiteChart] .marks").first).to_be_visible()
    assert page.url.startswith(f"{lab.address}/traces?")
    assert "x=epoch" in page.url  # the only study is the default, which the address leaves out
    expect(page.get_by_role("radio", name="epoch")).to_be_checked()

    page.goto(f"{lab.address}/runs?study={STUDY}")
    expect(page.locator("h1")).to_have_text("Runs")
    page.get_by_role("link", name="Upload").click()
    expect(page.locator("h1")).to_have_text("Upload")
    expect(page.locator("[data-testid=stFileUploader] button").first).to_be_disabled()

    # A role counts within seconds, in the tab that is open.
    lab.store.catalog.set_role("vera@lab.example", "researcher")
    page.wait_for_timeout(1000 * FRESH_S)
    page.get_by_role("link", name="Admin").click()
    expect(page.get_by_text("researcher: trains")).to_be_visible()
    expect(page.get_by_role("button", name="Make a token")).to_be_enabled()

    # Shut out while a page is open: its next click says so and shows nothing.
    lab.store.catalog.shut_out("vera@lab.example")
    page.wait_for_timeout(1000 * FRESH_S)
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_text("You are not invited to this lab")).to_be_visible()
    assert not page.locator("[data-testid=stDataFrame]").count()
    lab.store.catalog.set_role("vera@lab.example", "viewer")


def test_signing_out_ends_it(lab: Hosted, page: Page) -> None:
    page.goto(f"{lab.address}/studies")
    sign_in(page, "ada")
    expect(page.locator("h1")).to_have_text("Studies")
    page.get_by_role("button", name="ada").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()  # the provider asks, as it may
    expect(page.get_by_role("link", name="Sign in with")).to_be_visible()
    page.goto(f"{lab.address}/runs")
    expect(page.get_by_role("link", name="Sign in with")).to_be_visible()


def test_a_guest_sees_one_view(lab: Hosted, page: Page) -> None:
    lab.store.catalog.save_study("secret", "Another study", "", {}, "client")
    view = lab.store.catalog.save_view("traces", STUDY, "T", {"study": STUDY, "x": "epoch"})
    page.goto(f"{lab.address}/public/{lab.store.catalog.publish_view(view.code)}")
    expect(page.locator("h1")).to_have_text("Traces")
    expect(page.locator("[data-testid=stVegaLiteChart] .marks").first).to_be_visible()
    expect(page.get_by_role("radio", name="epoch")).to_be_checked()
    assert not page.get_by_role("link", name="Runs").count()
    assert "secret" not in page.content()
    page.goto(f"{lab.address}/traces?study=secret")
    expect(page.locator("h1")).to_have_text("Traces")
    assert "Another study" not in page.content()
    page.goto(f"{lab.address}/runs")
    page.wait_for_timeout(2000)
    assert not page.locator("[data-testid=stDataFrame]").count()
