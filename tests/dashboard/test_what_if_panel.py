import math

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.what_if_form import count_words, label
from data.store import open_store
from engine.datasets import dataset
from engine.jobs import queue
from engine.jobs.what_if_request import what_if_request
from engine.jobs.worker import Stop, work
from tests.dashboard.conftest import words
from tests.dashboard.lab_fixture import build
from tests.postgresql import copy_store

STUDY = "digits-shuffling"
X, Y, *_ = dataset("six-points").load()
SIX = "\n".join(", ".join(map(str, [*row, sign])) for row, sign in zip(X.tolist(), Y.tolist(), strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("what-if") / "lab"
    build(root, seeds=2, points=20).close()
    return root


@pytest.fixture
def root(made, tmp_path, monkeypatch):

    copy_store(made, tmp_path / "lab")
    monkeypatch.setenv("DETOUR_STORE", str(tmp_path / "lab"))
    return tmp_path / "lab"


def script():
    from dashboard.callbacks import raise_failure
    from dashboard.lab import find_lab
    from dashboard.what_if_panel import show

    raise_failure()
    show(find_lab(), "digits-shuffling")


def page(**parameters):
    app = AppTest.from_function(script, default_timeout=30)
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def button(app, key):
    return next(each for each in app.button if each.key == key)


def kept(root, **asked):
    """Try orders as the job does, and keep the result."""
    store = open_store(root)
    wanted = what_if_request(STUDY, **asked)
    job = work(store, store.catalog.create_job("what_if", STUDY, wanted.spec).id, Stop())
    row = store.catalog.analysis(job.result["analysis"])
    store.close()
    return row


def metrics(app):
    return {each.label: each.value for each in app.metric}


def test_the_six_points_are_pasted_previewed_started_and_shown(root, monkeypatch):
    sent = []

    def submit(store, kind, study, spec):
        sent.append((kind, study, spec))
        return store.catalog.create_job(kind, study, spec).id

    monkeypatch.setattr(queue, "submit", submit)
    monkeypatch.setattr(queue, "reap", lambda store: [])
    app = page()
    assert button(app, "what_if.start").disabled
    button(app, "what_if.example").click().run()
    assert not app.exception
    assert app.text_area(key="what_if.text").value.count("\n") == 5
    text = words(app)
    assert "**6 examples** of **6 features**; 3 are −1, 3 are +1." in text
    assert "**720 orders** make batches of 2 in 15 different ways; all are tried." in text
    assert "keep only signs" in text
    button(app, "what_if.start").click().run()
    assert not app.exception
    ((kind, study, spec),) = sent
    assert (kind, study, spec["batch_size"]) == ("what_if", STUDY, 2)
    assert any(str(each.key).endswith(".stop") for each in app.button)

    store = open_store(root)
    job = max(store.catalog.jobs(STUDY), key=lambda one: one.id)
    work(store, job.id, Stop())
    store.close()
    app.run()
    assert not app.exception
    assert metrics(app) == {
        "Orders that diverge": "66.7%", "GD risk diverges": "480", "No divergence": "192", "Bounded": "48",
    }  # fmt: skip
    text = words(app)
    assert "`0, 3` `1, 4` `2, 5`" in text
    assert "grows by 0.548 nats per ln(step)" in text
    assert "Of all 15 subsets of 2: Nothing separates" in text
    assert "nan" not in text.lower().split()
    assert app.selectbox(key="what_if.result").value == "#1 · pasted data · 6 × 6 · batches of 2 · all orders"


def test_what_is_there_already_is_shown_without_a_job(root, monkeypatch):
    first = kept(root, text=SIX)
    kept(root, dataset="six-points", batch_size=3)
    monkeypatch.setattr(queue, "submit", lambda *_: pytest.fail("a job was started"))
    app = page()
    assert app.selectbox(key="what_if.result").value.startswith("#2 · six-points")
    app.session_state["what_if.form"] = True
    app.run()
    app.text_area(key="what_if.text").set_value(SIX.replace(",", "\t")).run()
    button(app, "what_if.start").click().run()
    assert not app.exception
    app.run()
    assert app.selectbox(key="what_if.result").value == label(first)


def test_a_link_restores_a_result(root):
    first = kept(root, text=SIX, name="points.csv")
    kept(root, text=SIX, batch_size=4)
    app = page(**{"what_if.result": label(first)})
    assert metrics(app)["GD risk diverges"] == "480"
    other = page(**{"what_if.result": "#99 · gone"})
    assert "The last batch has 2 of 4 examples" in words(other)


def test_a_sample_comes_with_its_interval(root):
    row = kept(root, dataset="gaussian-teacher", batch_size=8, draws=30, eps=1e-5, intercept=True)
    app = page()
    first = app.metric[0]
    low, high = row.summary["low"], row.summary["high"]
    assert first.delta == f"{low:.1%} to {high:.1%} of all orders"
    assert "eps 1e-05, intercept" in words(app)
    assert "no further batch can make anything separable" in words(app)


def test_own_orders_are_listed_as_they_were_given(root):
    kept(root, text=SIX, orders=[[0, 3, 1, 4, 2, 5], [0, 1, 2, 3, 4, 5], [3, 0, 4, 1, 5, 2]])
    app = page()
    assert app.metric[0].delta == "of the 3 orders given"
    frame = next(each.value for each in app.dataframe if "Order" in each.value)
    assert frame["Batches"].to_list() == ["0 3 | 1 4 | 2 5", "0 1 | 2 3 | 4 5", "0 3 | 1 4 | 2 5"]
    assert frame["Slope [nats per ln step]"].to_list()[0] == "0.548"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"text": SIX, "batch_size": 1}, "nothing is left to learn from"),
        ({"text": SIX, "batch_size": 4}, "The last batch has 2 of 4 examples"),
        ({"text": SIX, "batch_size": 5}, "The last batch has one example"),
        ({"text": "1,2,a\n3,1,a\n2,2,a\n5,0,a"}, "All examples have one label"),
        (
            {"text": "1,2,a\n3,2,b\n2,2,a\n5,2,b"},
            "Constant features normalize to 0 and have no effect: 1 of 2",
        ),
        ({"text": SIX, "batch_size": 6}, "every order is full-batch gradient descent"),
    ],
)
def test_what_normalization_leaves_is_said_before_and_after(root, asked, told):
    kept(root, **asked)
    app = page()
    text = words(app)
    assert told in text
    assert not {"nan", "none", "inf"} & set(text.lower().replace(",", " ").split())
    assert all(value[0].isdigit() for value in metrics(app).values())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"what_if.text": "1,2\n3,x,b"}, "Line 2 has 3 cells, line 1 has 2."),
        ({"what_if.text": "1,a\n2,b\n3,c\n"}, "Choose one class against the rest"),
        ({"what_if.text": "1,a\nnan,b"}, "Line 2, column 1 is `nan`"),
        (
            {"what_if.text": SIX, "what_if.label": "9"},
            "Choose one by its name in the header or by its number",
        ),
        ({"what_if.text": SIX, "what_if.positive": "7"}, "never says `7`"),
    ],
)
def test_what_is_wrong_is_said_beside_the_form_and_nothing_starts(root, fields, told):
    app = page()
    for key, value in fields.items():
        (app.text_area if key == "what_if.text" else app.text_input)(key=key).set_value(value)
    app.run()
    assert not app.exception
    assert told in words(app)
    assert button(app, "what_if.start").disabled


def test_batches_and_orders_are_checked_and_a_small_data_set_chosen(root):
    app = page()
    app.segmented_control(key="what_if.source").set_value("Small data sets").run()
    app.selectbox(key="what_if.dataset").set_value("toy-dataset").run()
    assert "random ones are tried, which tells a share to within 4.9 percentage points" in words(app)
    app.number_input(key="what_if.batch_size").set_value(33).run()
    assert "`batch_size` must be 1 to 32" in words(app)
    app.selectbox(key="what_if.dataset").set_value("six-points")
    app.number_input(key="what_if.batch_size").set_value(2)
    app.segmented_control(key="what_if.which").set_value("My own orders").run()
    assert "There is no line with an order" in words(app)
    app.text_area(key="what_if.orders").set_value("0 1 2 3 4 5\n1 2 3 4 5 6").run()
    assert "Line 2 of the orders counts from 1." in words(app)
    app.text_area(key="what_if.orders").set_value("0 1 2 3 4 5").run()
    assert "your 1 order are tried" not in words(app)
    assert "your 1 order is tried" in words(app)
    assert not button(app, "what_if.start").disabled


def test_a_file_is_judged_by_what_it_holds(root):
    app = page()
    app.segmented_control(key="what_if.source").set_value("Upload").run()
    app.file_uploader(key="what_if.file").upload("data.csv", b"PK\x03\x04\x00\x00").run()
    assert not app.exception
    assert "`data.csv` holds something else than a table" in words(app)
    app.file_uploader(key="what_if.file").upload("points.csv", SIX.encode()).run()
    assert not app.exception


@pytest.mark.parametrize("n", [5, 9, 10, 32, 170, 171, 2000])
def test_numbers_of_any_size_are_written(n):
    told = count_words(math.factorial(n))
    assert "inf" not in told
    if n == 5:
        assert told == "120"
    if n == 32:
        assert told == "2.63×10³⁵"
    if n == 10:
        assert told == "3.63×10⁶"
