"""Notes, pinned and deleted studies, saved views and reports, as the page and the catalogue have them."""

from datetime import UTC, datetime

import pytest

from dashboard import kept_figures
from dashboard.access import Access
from dashboard.notes import plain
from dashboard.report_page import safe_markdown
from data.errors import LabError
from data.integrity import check
from data.people import Person
from data.store import Store, open_store
from tests.dashboard.conftest import words
from tests.dashboard.test_figure_files import made

STUDY = "digits-shuffling"


def button(app, label, place=0):
    return [button for button in app.button if button.label == label][place]


def reports_with_a_figure(store: Store) -> str:
    """Make a report of a text and a figure that is of the data as they were once, and return its code."""
    figure = made()
    figure = type(figure)(**{**vars(figure), "place": figure.place.__class__("traces", STUDY, {})})
    view = store.catalog.save_view("traces", STUDY, "All of it", {"study": STUDY})
    part = {"figure": kept_figures.keep(store, figure), "study": STUDY, "view": view.code, "title": "A risk"}
    return store.catalog.save_report(
        "What we saw", [{"text": "First *this*."}, part, {"view": view.code}]
    ).code


def test_a_report_shows_its_parts_in_order_and_says_that_the_data_moved_on(lab, view):
    store = open_store(lab("full"))
    code = reports_with_a_figure(store)
    app = view("reports", report=code)
    assert not app.exception
    assert not app.error
    assert [head.value for head in app.header] == ["What we saw"]
    assert [head.value for head in app.subheader] == ["A risk", "All of it"]
    assert "First *this*." in words(app)
    assert "the data have moved on" in words(app)
    assert len(app.get("vega_lite_chart")) == 1
    assert not [one for one in check(store) if one.kind == "damaged"]

    app.toggle[0].set_value(True).run()
    button(app, "Down", 0).click().run()
    assert [next(iter(part)) for part in store.catalog.report(code).parts] == ["figure", "text", "view"]
    button(app, "Remove", 2).click().run()
    assert len(store.catalog.report(code).parts) == 2
    assert [row.kind for row in store.catalog.analyses(STUDY, "figure")] == ["figure"]
    store.close()


def test_a_figure_that_is_gone_leaves_the_rest_of_its_report(lab, view):
    store = open_store(lab("full"))
    code = reports_with_a_figure(store)
    (row,) = store.catalog.analyses(STUDY, "figure")
    (store.root / row.path).write_bytes(b"damaged")
    app = view("reports", report=code)
    assert not app.exception
    assert "cannot be read" in words(app)
    assert "First *this*." in words(app)
    store.close()


def test_who_only_views_makes_no_figures_notes_or_views(lab, view, monkeypatch):
    store = open_store(lab("full"))
    code = reports_with_a_figure(store)
    vera = Person("vera@lab.example", "viewer")
    with pytest.raises(LabError, match="needs the role researcher"):
        kept_figures.keep(store.acting_as(vera), made())
    monkeypatch.setattr("dashboard.access.alone", lambda: Access(vera))
    app = view("studies")
    labels = {each.label for each in app.button if not each.disabled}
    assert not labels & {"Pin", "Archive", "Delete", "Write", "Save this view"}
    assert "This needs the role researcher; vera@lab.example is viewer" in words(app)
    app = view("reports", report=code)
    assert not app.toggle
    assert not {each.label for each in app.button} & {"Up", "Remove", "Add to a report"}
    store.close()


def test_somebody_elses_study_can_be_pinned_but_not_put_away(lab, view, monkeypatch):
    store = open_store(lab("full"))
    monkeypatch.setattr("dashboard.access.alone", lambda: Access(Person("otto@lab.example", "researcher")))
    app = view("studies")
    assert button(app, "Archive").disabled
    assert "The study belongs to" in words(app)
    button(app, "Pin").click().run()
    assert store.catalog.study(STUDY).pinned_at is not None
    assert button(app, "Unpin")
    store.close()


def test_a_study_is_deleted_by_its_name_and_comes_back(lab, view):
    store = open_store(lab("full"))
    store.catalog.save_study("other", "Another", "", {}, "upload")
    store.catalog.pin_study(STUDY, True)
    app = view("studies")
    titles = [head.value for head in app.subheader]
    assert "handwritten digits" in titles[0]
    assert "Another" not in titles[0]
    typed = next(box for box in app.text_input if box.placeholder == STUDY)
    typed.set_value("other")
    button(app, "Delete").click().run()
    assert "Nothing was deleted" in app.error[0].value
    assert store.catalog.study(STUDY)
    next(box for box in app.text_input if box.placeholder == STUDY).set_value(STUDY)
    button(app, "Delete").click().run()
    assert not app.exception
    assert [row.name for row in store.catalog.deleted_studies()] == [STUDY]
    assert f"`{STUDY}` was put away." in words(app)
    button(app, "Undo").click().run()
    assert store.catalog.study(STUDY).deleted_at is None
    button(app, "Archive").click().run()
    assert store.catalog.study(STUDY).archived_at is not None
    button(app, "Take out of the archive").click().run()
    assert store.catalog.study(STUDY).archived_at is None
    store.close()


def test_notes_are_read_by_time_and_are_plain_text(lab, view):
    store = open_store(lab("full"))
    (fit,) = store.catalog.analyses(STUDY, "latent")
    app = view("latent_states")
    text = "Look: **here** ![x](http://evil/x.png)\n<script>1</script>"
    next(box for box in app.text_area if box.label == "Note").set_value(text)
    next(box for box in app.selectbox if box.label == "About").set_value(f"fit {fit.id}, state 2")
    button(app, "Write").click().run()
    (note,) = store.catalog.notes(STUDY)
    assert (note.about, note.text) == (f"fit {fit.id}, state 2", text)
    assert plain(text) in [part.value for part in app.markdown]
    store.catalog.acting_as(Person("otto@lab.example", "researcher")).add_note(STUDY, "study", "Seen.")
    app = view("studies")
    assert "otto@lab.example, just now" in words(app).replace("\u2060", "").replace("\\", "")
    button(app, "Delete this note").click().run()
    assert [row.about for row in store.catalog.notes(STUDY)] == [note.about]
    store.close()


def test_no_picture_of_a_report_loads_by_itself():
    from markdown_it import MarkdownIt

    for text in ("![x](http://e/x.png)", "a ![x][r]\n\n[r]: http://e/x.png", "\\![x](http://e/x.png)"):
        assert "<img" not in MarkdownIt("commonmark", {"html": False}).render(safe_markdown(text))


def test_saved_views_are_found_and_deleted(lab, view):
    store = open_store(lab("full"))
    catalog = store.catalog
    kept = [catalog.save_view("runs", STUDY, title, {"study": STUDY}) for title in ("One", "Two")]
    app = view("reports", **{"reports.part": "Saved views"})
    assert len([each for each in app.button if each.label == "Delete"]) == 2
    assert all(each.disabled for each in app.button if each.label == "Make a public link")
    next(box for box in app.text_input if box.label == "Find").set_value("two").run()
    assert kept[1].code in "".join(part.value for part in app.code)
    assert kept[0].code not in "".join(part.value for part in app.code)
    button(app, "Delete").click().run()
    assert [row.title for row in catalog.saved_views()] == ["One"]
    store.close()


def test_a_figure_is_kept_once_under_one_name(lab):
    store = open_store(lab("full"))
    figure = made()
    place = type(figure.place)("traces", STUDY, {})
    figure = type(figure)(**{**vars(figure), "place": place, "made_at": datetime(2026, 1, 1, tzinfo=UTC)})
    assert kept_figures.keep(store, figure) == kept_figures.keep(store, figure)
    back, row = kept_figures.load(store, kept_figures.keep(store, figure))
    assert (back.table, back.how, back.place) == (figure.table, figure.how, figure.place)
    assert row.study == STUDY
    with pytest.raises(LabError, match="shows no single study"):
        kept_figures.keep(store, type(figure)(**{**vars(figure), "place": type(place)("studies", "", {})}))
    store.close()
