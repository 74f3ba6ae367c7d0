"""What is seen before and after a sign-in, asked of a real server with a real provider."""

import http.client
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing

import httpx
import psutil
import pytest

from dashboard.access import FRESH_S, PUBLIC_COOKIE
from data.store import open_store
from engine.log import Run
from tests.dashboard.lab_fixture import build
from tests.dashboard.sign_in_fixture import BASE, CLIENT_SECRET, Hosted, hosted

PAGES = ("/", "/studies", "/traces?study=digits-shuffling", "/admin", "/anything")
PARTS = (
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/_stcore/script-health-check",
    "/_stcore/allowed-message-origins",
    "/_stcore/upload_file/a/b",
    "/media/x.csv",
    "/component/x/y",
    "/static/js/x.js",
    "/app/static/x",
    "/index.html",
)
DATA = ("digits", "shuffling", "full_batch", "SS")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    store = build(tmp_path_factory.mktemp("hosted") / "lab", seeds=2, points=10)
    with hosted(store) as lab:
        yield lab
    store.close()


def handshake(lab: Hosted, **headers: str) -> int:
    """Ask for the WebSocket and return the answer's status; 101 where it is opened."""
    connection = http.client.HTTPConnection("localhost", lab.port, timeout=20)
    key = b64encode(b"0123456789abcdef").decode()
    connection.putrequest("GET", f"{BASE}/_stcore/stream")
    told = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key, "Origin": lab.origin, **headers,
    }  # fmt: skip
    for name, value in told.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def cookies(person: httpx.Client) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.cookies.jar)


@pytest.mark.parametrize("path", [*PAGES, *PARTS])
def test_nothing_is_seen_before_a_sign_in(lab: Hosted, path: str) -> None:
    with httpx.Client(follow_redirects=False) as stranger:
        plain = stranger.get(lab.address + path)
        page = stranger.get(lab.address + path, headers={"Accept": "text/html"})
    assert plain.status_code == 401
    assert (page.status_code, page.headers["location"]) == (303, f"{BASE}/sign-in")
    assert not any(word in plain.text + page.text for word in DATA)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_no_other_method_gets_further(lab: Hosted, method: str) -> None:
    for path in ("/", "/_stcore/upload_file/a/b", "/media/x"):
        assert httpx.request(method, lab.address + path, follow_redirects=False).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/detour/../detour/runs", "//detour/runs", "/detour//runs", "/detour/%2e%2e/runs", "/runs",
    "/detour/sign-in/../runs",
     "/detour/api/ready/../../runs", "/detour/api/runs/../../media/x", "/detour/public/../runs"],
)  # fmt: skip
def test_no_way_around_the_gate(lab: Hosted, path: str) -> None:
    connection = http.client.HTTPConnection("localhost", lab.port, timeout=20)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
    assert answer.status in (303, 400, 401, 404, 405), text
    assert '<div id="root">' not in text


def test_the_websocket_is_closed_before_a_sign_in(lab: Hosted) -> None:
    assert handshake(lab) == 403
    assert handshake(lab, Cookie="_streamlit_user=forged; _streamlit_xsrf=x") == 403
    person, _ = lab.enter("ada")
    assert handshake(lab, Cookie=cookies(person)) == 101
    assert handshake(lab, Cookie=cookies(person), Origin="https://evil.example") == 403


def test_health_says_nothing_but_that_it_is_well(lab: Hosted) -> None:
    assert httpx.get(f"{lab.address}/_stcore/health").text == "ok"
    assert httpx.get(f"{lab.address}/api/ready").json() == {"ready": True}


@pytest.mark.parametrize("path", ["/traces?study=digits-shuffling&x=epoch", "/runs", "/"])
def test_a_link_survives_signing_in(lab: Hosted, path: str) -> None:
    person, seen = lab.enter("ada", path)
    assert str(seen.url) == lab.address + path
    assert seen.status_code == 200
    assert '<div id="root">' in seen.text
    assert str(person.get(lab.address + "/").url) == lab.address + "/"  # once, not for ever


def test_the_first_view_is_found_by_its_name_too(lab: Hosted) -> None:
    _, seen = lab.enter("ada", "/studies?study=digits-shuffling")
    assert str(seen.url) == f"{lab.address}/?study=digits-shuffling"
    assert seen.status_code == 200


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil.example", "/%0d%0aSet-Cookie:x=y"],
)
def test_a_sign_in_leads_nowhere_else(lab: Hosted, wanted: str) -> None:
    person = lab.visitor()
    person.cookies.set("detour_next", wanted, domain="localhost.local", path=BASE)
    asked = person.get(f"{lab.address}/sign-in/go")
    seen = person.post(str(asked.url), data={"sub": "ada"})
    assert str(seen.url).startswith(lab.address + "/")
    assert "x" not in person.cookies


@pytest.mark.parametrize(
    ("who", "why"),
    [("eve", "You are not invited to this lab"), ("mallory", "not verified"), ("nemo", "gave no address")],
)
def test_who_is_not_invited_sees_why_and_nothing_else(lab: Hosted, who: str, why: str) -> None:
    person, seen = lab.enter(who, "/runs")
    assert seen.status_code == 403
    assert why in seen.text
    assert "Sign in as somebody else" in seen.text
    assert handshake(lab, Cookie=cookies(person)) == 403
    assert person.get(f"{lab.address}/media/x").status_code == 403
    assert who not in {row.name.partition("@")[0] for row in lab.store.catalog.people()}


def test_a_cookie_that_is_not_this_labs_opens_nothing(lab: Hosted) -> None:
    person, _ = lab.enter("vera")
    good = person.cookies.get("_streamlit_user")
    assert good
    for forged in (
        good[:-2] + "xx",
        "x" + good,
        good.partition(".")[0],
        "",
        "null",
        '{"is_logged_in": true}',
    ):
        with httpx.Client(cookies={"_streamlit_user": forged}) as stranger:
            assert stranger.get(f"{lab.address}/runs").status_code == 401


def test_signing_in_and_out_changes_who_one_is(lab: Hosted) -> None:
    """No cookie from before a sign-in is worth anything after it."""
    person, _ = lab.enter("vera")
    first = person.cookies.get("_streamlit_user")
    asked = person.get(f"{lab.address}/sign-in/go")
    person.post(str(asked.url), data={"sub": "ada"})
    assert person.cookies.get("_streamlit_user") != first
    person.get(f"{lab.address}/auth/logout")
    assert person.cookies.get("_streamlit_user") is None
    assert person.get(f"{lab.address}/runs").url.path == f"{BASE}/sign-in"


def test_a_callback_that_nobody_asked_for_signs_nobody_in(lab: Hosted) -> None:
    """As when somebody is lured to sign in as another."""
    victim = lab.visitor()
    seen = victim.get(f"{lab.address}/oauth2callback?code=stolen&state=made-up")
    assert seen.url.path == f"{BASE}/sign-in"
    assert victim.cookies.get("_streamlit_user") is None


def test_an_upload_needs_the_pages_own_word(lab: Hosted) -> None:
    person, _ = lab.enter("ada")
    path = f"{lab.address}/_stcore/upload_file/session/file"
    elsewhere = {"Origin": "https://evil.example"}
    assert person.put(path, files={"file": b"x"}).status_code in (400, 403)
    assert person.put(path, files={"file": b"x"}, headers=elsewhere).status_code in (400, 403)


def test_who_is_shut_out_is_out_at_once(lab: Hosted) -> None:
    person, seen = lab.enter("rosa", "/runs")
    assert seen.status_code == 200
    lab.store.catalog.shut_out("rosa@lab.example")
    deadline = time.monotonic() + 2 * FRESH_S
    while person.get(f"{lab.address}/runs").status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert person.get(f"{lab.address}/runs").status_code == 403
    assert handshake(lab, Cookie=cookies(person)) == 403
    lab.store.catalog.set_role("rosa@lab.example", "viewer")


def test_a_public_link_opens_one_view_and_ends_when_taken_back(lab: Hosted) -> None:
    view = lab.store.catalog.save_view("traces", "digits-shuffling", "T", {"study": "digits-shuffling"})
    key = lab.store.catalog.publish_view(view.code)
    guest = lab.visitor()
    seen = guest.get(f"{lab.address}/public/{key}")
    assert str(seen.url) == f"{lab.address}/?saved={view.code}"
    assert seen.status_code == 200
    known = f"{PUBLIC_COOKIE}={key}"
    assert handshake(lab, Cookie=known) == 101
    assert guest.put(f"{lab.address}/_stcore/upload_file/a/b", files={"file": b"x"}).status_code == 401
    lab.store.catalog.unpublish_view(view.code)
    assert handshake(lab, Cookie=known) == 403
    assert guest.get(f"{lab.address}/traces").url.path == f"{BASE}/sign-in"
    for wrong in (key, "x", "", "../runs", "%00"):
        assert lab.visitor().get(f"{lab.address}/public/{wrong}").status_code in (200, 404)
        assert '<div id="root">' not in lab.visitor().get(f"{lab.address}/public/{wrong}").text


def test_a_token_stands_before_the_api_and_not_a_cookie(lab: Hosted) -> None:
    person, _ = lab.enter("ada")
    begin = {"study": "mine", "arm": "A", "seed": 0}
    assert person.post(f"{lab.address}/api/runs", json=begin).status_code == 401
    _, token = lab.store.catalog.add_token("a laptop", "log")
    with Run("mine", "A", 0, lab.address, token=token) as run:
        run.log(0, loss=1.0)
    assert lab.store.traces.count("mine") == 1


def test_browsers_are_told_to_keep_people_safe(lab: Hosted) -> None:
    headers = httpx.get(f"{lab.address}/sign-in").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    person, seen = lab.enter("ada")
    assert seen.headers["x-content-type-options"] == "nosniff"
    first = lab.visitor()
    first.follow_redirects = False
    told = first.get(f"{lab.address}/runs").headers["set-cookie"].lower()
    assert "httponly" in told
    assert "samesite=lax" in told
    assert all(
        cookie.path == BASE for cookie in person.cookies.jar if cookie.name.startswith("_streamlit_user")
    )


def test_secrets_are_in_no_log_no_word_and_no_page(lab: Hosted) -> None:
    person, seen = lab.enter("ada", "/admin")
    cookie = person.cookies.get("_streamlit_user") or ""
    secret = (lab.store.root / ".cookie-secret").read_text()
    assert oct((lab.store.root / ".cookie-secret").stat().st_mode)[-3:] == "600"
    logs = "".join(path.read_text(errors="replace") for path in lab.store.logs.iterdir())
    words = [word for process in psutil.process_iter() for word in _words(process)]
    for what in (CLIENT_SECRET, secret, cookie):
        assert what
        assert what not in logs
        assert not any(what in word for word in words)
        assert what not in seen.text
    for path in sorted(lab.store.root.glob("catalog.sqlite*")):
        content = path.read_bytes()
        assert all(what.encode() not in content for what in (CLIENT_SECRET, secret, cookie))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return []


def test_signing_in_is_in_the_audit(lab: Hosted) -> None:
    lab.enter("vera")
    rows = [row for row in lab.store.catalog.audited(1000) if row.action == "sign in"]
    assert [row.target for row in rows if row.person == "vera@lab.example"] == ["vera@lab.example"]


def test_the_store_opens_beside_its_cookie_secret(lab: Hosted) -> None:
    open_store(lab.store.root).close()
