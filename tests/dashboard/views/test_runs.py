import pytest

from dashboard.views import runs
from data.store import open_store
from tests.dashboard.conftest import words


def test_every_run_is_listed_with_its_status_and_final_metrics(lab, view):
    lab("full")
    app = view("runs")
    assert not app.exception
    table = app.dataframe[0].value
    assert len(table) == 32
    assert table["status"].map(lambda told: told[0]).str.startswith("diverged at").sum() == 1
    assert table["own_batch_risk"].notna().sum() == 31
    assert "1 diverged" in words(app)


def test_a_run_that_converged_says_so(lab, view):
    root = lab("full")
    (one,) = ids_of(root, arm="SS", seed=5)
    store = open_store(root)
    store.catalog.update_runs([{"id": one, "converged_at": 1234, "converged_what": "test_accuracy is 1"}])
    store.close()
    app = view("runs")
    assert not app.exception
    table = app.dataframe[0].value.set_index("id")
    assert table.loc[one, "status"] == ["converged at 1,234"]


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({"runs.search": "ordering=ss"}, 16),
        ({"runs.search": "seed=3 rr"}, 2),
        ({"runs.status": "diverged"}, 1),
        ({"arms": "RR", "seeds": "0..2, 7"}, 4),
        ({"runs.search": "nothing like this"}, 0),
        ({"arms": "no such arm", "runs.status": "no such status", "seeds": "x"}, 32),
    ],
)
def test_the_address_filters_and_bad_values_fall_back(lab, view, parameters, count):
    lab("full")
    app = view("runs", **parameters)
    assert not app.exception
    assert (len(app.dataframe[0].value) if app.dataframe else 0) == count


def ids_of(root, **wanted):
    store = open_store(root)
    found = [
        run.id
        for run in store.catalog.runs()
        if all(getattr(run, key) == value for key, value in wanted.items())
    ]
    store.close()
    return found


def test_a_selection_is_held_by_id_while_rows_come_and_go(lab, view):
    root = lab("full")
    wanted = (*ids_of(root, arm="SS", seed=5), *ids_of(root, arm="SS no BN", seed=4))
    app = view("runs", {runs.SELECTED: wanted})
    assert "2 selected" in words(app)
    store = open_store(root)
    store.catalog.delete_runs(ids_of(root, arm="SS", seed=0))
    store.close()
    app.run()
    assert app.session_state[runs.SELECTED] == wanted
    assert "SS: seed 5; SS no BN: seed 4" in words(app)


def test_deleting_and_undoing_leaves_everything_as_it_was(lab, view):
    root = lab("full")
    before = ids_of(root)
    app = view("runs", {runs.SELECTED: ids_of(root, arm="SS", seed=1)})
    assert "SS: seed 1" in words(app)
    app.button(key="runs.delete.confirm").click().run()
    assert not app.exception
    assert len(app.dataframe[0].value) == 31
    app.button(key="runs.undo").click().run()
    assert not app.exception
    assert ids_of(root) == before


def test_archiving_leaves_the_list_but_not_the_figures(lab, view):
    root = lab("full")
    app = view("runs", {runs.SELECTED: ids_of(root, arm="SS", seed=1)})
    app.button(key="runs.archive").click().run()
    assert len(app.dataframe[0].value) == 31
    store = open_store(root)
    assert store.traces.bands("digits-shuffling", "l2", arms=["SS"])["n"].max() == 8
    store.close()


def test_the_configuration_of_a_selection_shows_only_what_differs(lab, view):
    root = lab("full")
    wanted = [*ids_of(root, arm="SS", seed=0), *ids_of(root, arm="RR no BN", seed=0)]
    app = view("runs", {runs.SELECTED: wanted})
    assert not app.exception
    assert list(app.dataframe[1].value["setting"]) == ["ordering", "model.norm"]


def test_a_study_without_runs_is_said(lab, view):
    root = lab("empty")
    store = open_store(root)
    store.catalog.save_study("bare", "Bare", "Nothing yet.", {}, "upload")
    store.close()
    for name in ("runs", "traces", "latent_states", "shuffling"):
        app = view(name)
        assert not app.exception, name
        assert app.info, name
