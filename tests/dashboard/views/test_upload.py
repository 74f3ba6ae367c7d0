import io
import json

import duckdb
import pytest

from dashboard import upload_findings, upload_history, upload_intake, upload_mapping
from data.importing.intake import Intake, find
from data.importing.roles import Corrections
from data.store import open_store
from engine.jobs import queue
from tests.dashboard.conftest import words
from tests.dashboard.imported_fixture import ODD, at_once, import_logs, logs

TOKEN = upload_intake.TOKEN
FEW = logs(2, 12)
BROKEN = {"broken.csv": b"step,loss\n1,2\n2,3,4,5\n3\n", "**n** <b>.md": b"# hello\n"}


@pytest.fixture
def opened(lab, view, monkeypatch):
    """Open the view with files given and read, in this process."""
    monkeypatch.setattr(queue, "submit", at_once)

    def go(files, name="empty"):
        root = lab(name)
        app = view("upload")
        chosen = app.file_uploader(key="upload.given.Files")
        for title, content in files.items():
            chosen.upload(title, content)
        app.run()
        app.button(key="upload.read").click().run()
        assert not app.exception
        return root, app

    return go


@pytest.fixture
def store_of():
    """Open stores, and close them at the end."""
    stores = []

    def go(root):
        stores.append(open_store(root))
        return stores[-1]

    yield go
    for store in stores:
        store.close()


def editor(app, what, rows):
    key = next(key for key in app.session_state if key.startswith(f"upload.{what}."))
    app.session_state[key] = {"edited_rows": rows, "added_rows": [], "deleted_rows": []}


def name_study(app, name):
    box = app.selectbox(key=f"upload.study.{app.query_params[TOKEN]}")
    box.options.append(name)  # AppTest knows no options but those that are offered
    box.set_value(name).run()


def test_an_empty_page_teaches_what_is_read_and_the_command(lab, view):
    lab("empty")
    app = view("upload")
    assert not app.exception
    assert "TensorBoard events" in words(app)
    assert app.code[0].value == upload_intake.COMMAND
    assert app.button(key="upload.read").disabled
    assert "Past imports" not in words(app)


def test_the_small_example_is_read_as_two_arms_of_three_seeds(tmp_path, store_of, lab):
    store = store_of(lab("empty"))
    intake = Intake.receive(store, {"example.csv": io.BytesIO(upload_intake.sample().encode())})
    assert sorted((run.arm, run.seed) for run in intake.plan().runs) == [
        (arm, seed) for arm in ("RR", "SS") for seed in range(3)
    ]


def test_files_of_one_name_are_all_taken():
    class File:
        def __init__(self, name):
            self.name = name

    assert list(upload_intake.named([File("a/x.csv"), File("x.csv"), File("x.csv")])) == [
        "a/x.csv", "x.csv", "3/x.csv",
    ]  # fmt: skip


def test_what_was_found_is_shown_and_nothing_is_imported_yet(opened, view, store_of):
    root, app = opened(FEW | BROKEN)
    assert "4 files, 48 rows in 4 tables" in words(app)
    tables = {tuple(one.value.columns)[:2]: one.value for one in app.dataframe}
    assert list(tables["File", "Format"]["Rows"]) == [12] * 4
    skipped = tables["File", "Why"].set_index("File")
    assert skipped.loc["broken.csv", "Why"] == "line 3 has 4 cells; the header has 2"
    assert "docs/uploads.md" in skipped.loc["**n** <b>.md", "What to do"]
    assert tables["step", "loss"]["notes"].iloc[0] == "=1+1"
    runs = tables["Run", "Arm"]
    assert list(zip(runs["Arm"], runs["Seed"], strict=True)) == [("RR", 0), ("RR", 1), ("SS", 0), ("SS", 1)]
    assert runs["Diverged"].iloc[3].startswith("step 36: loss is nan")
    assert "<b>" not in words(app)
    assert "**n**" not in words(app)
    assert store_of(root).catalog.uploads() == []
    again = view("upload", **{TOKEN: app.query_params[TOKEN]})
    assert "4 files, 48 rows in 4 tables" in words(again)


def test_import_undo_and_redo(opened, store_of):
    root, app = opened(FEW)
    assert app.selectbox(key=f"upload.study.{app.query_params[TOKEN]}").value == "logs"
    app.button(key="upload.import").click().run()
    assert not app.exception
    assert "Imported 4 runs and 48 rows into **logs**" in app.success[0].value
    store = store_of(root)
    runs = store.catalog.runs("logs")
    assert [(run.arm, run.seed, run.status) for run in runs].count(("SS", 1, "diverged")) == 1
    assert len(runs) == 4
    assert {row.name for row in store.catalog.metrics("logs")} == {"loss", "val_loss", "accuracy", ODD}
    assert not list(store.uploads.iterdir())
    app.button(key="upload.turn").click().run()
    assert "is undone" in app.info[0].value
    assert not store.catalog.studies()
    app.button(key="upload.turn").click().run()
    assert "Imported 4 runs" in app.success[0].value
    (told,) = json.loads(upload_history.provenance(store.catalog.uploads()))
    assert len(told["files"]) == 4
    assert {len(one["sha256"]) for one in told["files"]} == {64}
    app.button(key="upload.other").click().run()
    assert TOKEN not in app.query_params
    assert "Past imports" in words(app)


def test_the_labs_names_are_taken_by_one_button(opened, store_of):
    root, app = opened(FEW)
    app.button(key="upload.lab_names").click().run()
    assert not app.exception
    columns = next(one.value for one in app.dataframe if "Taken as" in one.value).set_index("Column")
    assert dict(columns.loc[["loss", "val_loss", "accuracy"], "Name"]) == {
        "loss": "train_loss", "val_loss": "test_loss", "accuracy": "train_accuracy",
    }  # fmt: skip
    assert app.button(key="upload.lab_names").disabled
    assert store_of(root).catalog.jobs()[0].spec["study"] in (None, "logs")


def test_what_is_wrong_is_said_and_the_corrections_are_kept(opened):
    _, app = opened(FEW)
    editor(app, "columns", {1: {"Name": "mine"}})
    editor(app, "runs", {1: {"Seed": 0}})
    app.run()
    assert "2 runs are arm RR with seed 0" in app.warning[0].value
    assert "have not been checked" in words(app)
    app.button(key="upload.check").click().run()
    assert "Two runs of one seed" in app.error[0].value
    runs = next(one.value for one in app.dataframe if "Seed" in one.value)
    assert list(runs["Seed"])[:2] == [0, 0]
    columns = next(one.value for one in app.dataframe if "Taken as" in one.value).set_index("Column")
    assert columns.loc["loss", "Name"] == "mine"
    assert columns.loc["step", "Example"] == "0 to 44"
    editor(app, "runs", {1: {"Seed": 5, "Arm": "=RR"}})
    app.run()
    app.button(key="upload.check").click().run()
    assert not app.error
    runs = next(one.value for one in app.dataframe if "Seed" in one.value)
    assert list(zip(runs["Arm"], runs["Seed"], strict=True))[:2] == [("RR", 0), ("=RR", 5)]
    app.button(key="upload.forget").click().run()
    runs = next(one.value for one in app.dataframe if "Seed" in one.value)
    assert list(runs["Seed"]) == [0, 1, 0, 1]


def test_a_study_that_is_trained_here_is_refused_and_one_that_is_there_is_replaced(opened, store_of):
    _, app = opened(FEW, "full")
    name_study(app, "digits-shuffling")
    assert "This study is trained here" in app.warning[0].value
    assert app.button(key="upload.import").disabled
    name_study(app, "logs")
    app.button(key="upload.import").click().run()
    app.button(key="upload.other").click().run()
    app.file_uploader(key="upload.given.Files").upload("SS_seed0.csv", logs(1, 5)["SS_seed0.csv"])
    app.run()
    app.button(key="upload.read").click().run()
    name_study(app, "logs")
    assert "1 run of it is replaced, 0 runs added" in "".join(one.value for one in app.info)


def test_the_same_files_again_are_recognized(opened, view):
    _, app = opened(FEW)
    app.button(key="upload.import").click().run()
    app.button(key="upload.other").click().run()
    app.file_uploader(key="upload.given.Files").upload("other.csv", FEW["SS_seed0.csv"])
    app.run()
    app.button(key="upload.read").click().run()
    assert not app.exception
    assert "All of it was imported before" in app.info[0].value
    app.button(key="upload.discard").click().run()
    assert app.file_uploader(key="upload.given.Files") is not None


def test_while_a_job_has_the_rows_open_the_page_says_so(opened, monkeypatch):
    def held(*_):
        raise duckdb.IOException("Could not set lock on file")

    _, app = opened(FEW)
    monkeypatch.setattr(upload_findings, "first_rows", held)
    app.run()
    assert not app.exception
    assert "being read by a job" in words(app)


def test_an_upload_that_is_gone_is_said_and_files_are_asked_for_again(lab, view):
    lab("empty")
    app = view("upload", **{TOKEN: "../../etc"})
    assert not app.exception
    assert "The upload is gone" in app.warning[0].value
    assert app.button(key="upload.read") is not None


def test_a_viewer_may_look_and_nothing_else(opened, view, monkeypatch):
    from dashboard import lab as labs
    from dashboard.access import Access
    from data.people import Person

    _, app = opened(FEW)
    monkeypatch.setattr(labs, "visitor", lambda store: Access(Person("guest", "viewer")))
    looked = view("upload", **{TOKEN: app.query_params[TOKEN]})
    assert {one.key for one in looked.button if not one.disabled} == {"corner.out"}
    assert "4 files, 48 rows" in words(looked)


def test_moving_a_role_forgets_what_was_said_of_runs_but_not_of_names(opened, store_of):
    root, app = opened(FEW)
    intake = find(store_of(root), app.query_params[TOKEN])
    staged, planned = intake.staged, intake.planned
    said = Corrections({}, {"loss": "l"}, {"RR_seed0": ("a", 3)})
    base = upload_mapping.columns_of(staged, planned[1], said)
    edited = base.copy()
    edited.loc[edited["Column"] == "accuracy", "Taken as"] = "left out"
    found = upload_mapping.corrected(base, edited, said)
    assert found == Corrections({"accuracy": "skip"}, {"loss": "l"}, {})
    assert upload_mapping.corrected(base, base.copy(), said) == said
    back = upload_mapping.columns_of(staged, planned[1], found)
    again = back.copy()
    again.loc[again["Column"] == "accuracy", ["Taken as", "Name"]] = [upload_mapping.METRIC, None]
    assert upload_mapping.corrected(back, again, found).names == {"loss": "l", "accuracy": "accuracy"}


def test_two_metrics_never_get_one_name_of_the_lab():
    import pandas as pd

    frame = pd.DataFrame(
        {"Column": ["loss", "train/loss", "val_loss", "test_loss"], "Taken as": [upload_mapping.METRIC] * 4,
         "Name": ["loss", "train/loss", "val_loss", "test_loss"]}
    )  # fmt: skip
    assert upload_mapping.lab_names(frame) == {"loss": "train_loss"}


PARTS = ("Effect", "Why", "Divergence", "Orderings", "What if")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    root = tmp_path_factory.mktemp("imported") / "lab"
    store = open_store(root, create=True)
    import_logs(store, logs(6, 30), "theirs")
    store.close()
    return root


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *((name, {}) for name in ("studies", "runs", "traces", "latent_states", "detours", "connectivity")),
        *(("shuffling", {"shuffling.part": part}) for part in PARTS),
    ],
)
def test_every_view_works_with_an_imported_study(imported, view, monkeypatch, name, parameters):
    monkeypatch.setenv("DETOUR_STORE", str(imported))
    app = view(name, study="theirs", metric=ODD, **parameters)
    assert not app.exception
    assert not app.error
    assert "<b>$" not in words(app).replace("\\<b>\\$", "")
    if name == "shuffling":
        assert [app.selectbox(key=key).value for key in ("a", "b", "metric")] == ["SS", "RR", ODD]
        assert ("needs own-batch and full-batch risk" in words(app)) == (
            parameters["shuffling.part"] in ("Why", "Divergence")
        )
    if name == "connectivity":
        assert "how its networks are built is not known here" in words(app)
        assert "upload a file" in words(app)


def test_an_effect_on_any_metric_is_put_into_words(imported, view, monkeypatch):
    monkeypatch.setenv("DETOUR_STORE", str(imported))
    app = view("shuffling", study="theirs", metric="val_loss")
    assert "5 pairs cannot reach p = 0.05" in words(app)
    assert app.metric[0].label == "val_loss, SS / RR"
