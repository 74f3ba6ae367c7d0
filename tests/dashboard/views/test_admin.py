import io

import pandas as pd
import pytest

from dashboard import admin_audit
from dashboard import lab as labs
from dashboard.access import Access
from data.people import Person
from data.rows import AuditRow
from data.store import open_store
from tests.dashboard.conftest import words

PEOPLE = {
    "viewer": Person("vera@lab.example", "viewer"),
    "researcher": Person("rosa@lab.example", "researcher"),
    "admin": Person("ada@lab.example", "admin"),
}


@pytest.fixture
def seen_by(lab, view, monkeypatch):
    """Open the view in the eyes of somebody."""

    def go(role, **parameters):
        root = lab("full")
        if role is not None:
            monkeypatch.setattr(labs, "visitor", lambda store: Access(PEOPLE[role]))
        return open_store(root), view("admin", **parameters)

    return go


def parts(app):
    return [option for control in app.button_group for option in control.options]


@pytest.mark.parametrize("role", ["viewer", "researcher"])
@pytest.mark.parametrize("part", ["People", "Storage", "Health", "Audit", "Settings"])
def test_others_see_their_own_part_only_whatever_the_address_says(seen_by, role, part):
    _, app = seen_by(role, part=part)
    assert not app.exception
    assert not app.button_group
    assert f"You are **{PEOPLE[role].name}**".replace("@", "@\u2060") in words(app)
    assert "Give this role" not in [button.label for button in app.button]
    assert next(button for button in app.button if button.label == "Make a token").disabled == (
        role == "viewer"
    )


def test_a_token_is_shown_once(seen_by):
    store, app = seen_by("researcher")
    app.text_input(key="admin.token.name").set_value("cluster")
    next(button for button in app.button if button.label == "Make a token").click().run()
    (text,) = [code.value for code in app.code if code.value.startswith("detour_")]
    row = store.catalog.require_token(text, "log")
    assert (row.person, row.name) == ("rosa@lab.example", "cluster")
    assert row.expires_at is not None
    app.run()
    assert not app.code
    assert app.dataframe[0].value["For"].tolist() == ["cluster"]


def test_an_administrator_gives_roles_and_limits_and_shuts_out(seen_by):
    store, app = seen_by("admin", part="People")
    app.text_input(key="admin.person.address").set_value("Nora@Lab.example")
    app.selectbox(key="admin.person.role").set_value("researcher")
    next(button for button in app.button if button.label == "Give this role").click().run()
    assert not app.exception
    assert [(row.name, row.role) for row in store.catalog.people()] == [("nora@lab.example", "researcher")]
    app.number_input(key="admin.limits.queued.nora@lab.example").set_value(3)
    next(button for button in app.button if button.label == "Set these limits").click().run()
    assert store.catalog.limits_for("nora@lab.example").queued == 3
    app.selectbox(key="admin.people.shut").set_value("nora@lab.example").run()
    app.button(key="admin.people.shut.do").click().run()
    assert store.catalog.people()[0].shut_out_at is not None
    assert [row.action for row in store.catalog.audited()][:3] == ["shut out", "set limits", "set role"]


def test_no_address_is_refused_in_words(seen_by):
    store, app = seen_by("admin", part="People")
    app.text_input(key="admin.person.address").set_value("nobody")
    next(button for button in app.button if button.label == "Give this role").click().run()
    assert "is no e-mail address" in words(app)
    assert not store.catalog.people()


def test_sizes_add_up_three_ways(seen_by):
    store, app = seen_by("admin", part="Storage")
    frames = [one.value for one in app.dataframe]
    assert [next(iter(frame)) for frame in frames] == ["Kind", "Study", "Person"]
    assert len({int(frame["Size"].sum()) for frame in frames}) == 1
    files = sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())
    assert int(frames[0]["Size"].sum()) == pytest.approx(files, rel=0.2)  # the catalogue's log moves


@pytest.mark.parametrize(
    ("part", "what"),
    [("Health", "holds every file to its hash"), ("Settings", "detour.toml"), ("Audit", "changes")],
)
def test_the_other_parts_are_drawn(seen_by, part, what):
    _, app = seen_by(None, part=part)
    assert not app.exception
    assert what in words(app)


def test_what_people_wrote_is_no_formula_in_the_audits_csv():
    from datetime import UTC, datetime

    row = AuditRow(1, datetime(2026, 1, 1, tzinfo=UTC), "=cmd()", "tag runs", "+1", {"add": ["=1+1"]})
    text = admin_audit.table([row]).to_csv(index=False)
    read = pd.read_csv(io.StringIO(text))
    assert not any(str(value).startswith(("=", "+", "-", "@")) for value in read.iloc[0][1:])
