import pytest
from streamlit.testing.v1 import AppTest

from dashboard import lab as dashboard_lab
from dashboard.access import Access
from data.people import Person
from data.store import Store, open_store
from engine.jobs.processes import me
from engine.jobs.request import request
from tests.dashboard.conftest import words

ADA, BEN = Person("ada@lab.example", "researcher"), Person("ben@lab.example", "researcher")


@pytest.fixture
def as_person(monkeypatch: pytest.MonkeyPatch):
    def use(person: Person) -> None:
        monkeypatch.setattr(dashboard_lab, "visitor", lambda store: Access(person))

    return use


@pytest.fixture
def store(lab):
    opened = open_store(lab("empty"))
    yield opened
    opened.close()


def buttons(app: AppTest) -> dict[str, object]:
    return {button.key: button for button in app.button}


def training(store: Store, person: Person, study: str = "wu-regression", **asked: object) -> int:
    wanted = request(study, **asked)  # type: ignore[arg-type]
    return store.acting_as(person).catalog.create_job("train", wanted.study.name, wanted.spec).id


def test_a_training_is_chosen_and_queued(store, view):
    app = view("train")
    assert not app.exception
    assert "Nothing was trained here yet" in words(app)
    app.selectbox(key="train.study").select("wu-regression").run()
    assert "Wu, Yun & Sra" in words(app)
    app.multiselect(key="train.arms.wu-regression").select("SS").run()
    app.text_input(key="train.seeds").input("4..7").run()
    assert not app.exception
    command = "python -m engine train wu-regression --seeds 4..7 --arms SS"
    assert [code.value for code in app.code] == [command]
    text = words(app)
    assert "**4 runs of" in text
    assert "not timed at this size yet; as it is defined it takes about" in text
    assert "of the disk while it works" in text
    assert "An account of this machine has no limits." in text
    app.button(key="train.start").click().run()
    assert not app.exception
    (job,) = store.catalog.jobs()
    assert (job.status, job.study, job.spec["arms"]) == ("queued", "wu-regression", ["SS"])
    assert job.spec["seeds"] == [4, 5, 6, 7]
    assert store.catalog.study("wu-regression").claim
    assert "Next: 1 job in the queue" in [part.value for part in app.subheader]
    app.button(key=f"job.{job.id}.stop").click().run()
    assert store.catalog.job(job.id).status == "stopped"
    assert "stopped" in words(app)


def test_the_address_restores_the_choice_with_its_settings(store, view):
    changed = ["epochs=12", "model=mlp", "model.width=8"]
    command = "python -m engine train digits-shuffling --seeds 3"
    app = view("train", **{"train.study": "digits-shuffling", "train.seeds": "3", "train.set": changed})
    assert not app.exception
    (code,) = app.code
    assert code.value == " --set ".join([command, *changed])
    assert app.query_params["train.set"] == changed
    app.selectbox(key="train.study").select("wu-regression").run()
    assert app.code[0].value == "python -m engine train wu-regression --seeds 3"
    assert "train.set" not in app.query_params


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"train.seeds": "many"}, "Seeds not understood"),
        ({"train.set": ["epochs=-3"]}, "Setting out of range"),
        ({"train.set": ["lr=fast"]}, "Setting not understood"),
    ],
)
def test_what_cannot_be_trained_is_said_beside_the_form(store, view, parameters, told):
    app = view("train", **{"train.study": "digits-shuffling"}, **parameters)
    assert not app.exception
    assert told in app.warning[0].value
    assert "train.start" not in buttons(app)


def test_a_limit_is_said_beside_the_button_and_the_queue_stays(store, view, as_person, monkeypatch):
    monkeypatch.setenv("DETOUR_LIMITS_QUEUED", "2")
    first, other = training(store, ADA), training(store, BEN)
    assert store.catalog.claim_job(first, *me())
    training(store, ADA)
    as_person(ADA)
    app = view("train")
    assert "You have 1 of 2 jobs at work, 2 of 2 in all, 0.0 of 200 GiB kept." in words(app)
    app.button(key="train.start").click().run()
    assert not app.exception
    assert "Too many jobs" in app.error[0].value
    assert "administrator" in app.error[0].value
    assert len(store.catalog.jobs()) == 3
    assert f"job.{other}.stop" in buttons(app)


def test_the_queue_tells_whose_turn_it_is_and_why_jobs_wait(store, view, as_person, monkeypatch):
    monkeypatch.setenv("DETOUR_JOBS_AT_ONCE", "1")
    a1, a2, b1 = training(store, ADA), training(store, ADA), training(store, BEN)
    assert store.catalog.claim_job(a1, *me())
    store.catalog.heartbeat(a1, 1200, 6400, 80.0, "")
    as_person(ADA)
    app = view("train")
    assert not app.exception
    text = words(app)
    first, second = (text.index(f"**{number}.** Training") for number in (1, 2))
    assert first < text.index(f"job {b1} · ben") < second < text.index(f"job {a2}")
    assert "Waits: this machine has as many jobs at work as it may, 1." in text
    assert "Whoever has the fewest jobs at work goes first" in text
    assert "80 steps a second · 1 min 5 s left" in app.progress[0].text
    mine, theirs = buttons(app)[f"job.{a2}.stop"], buttons(app)[f"job.{b1}.stop"]
    assert not mine.disabled
    assert theirs.disabled
    assert f"belongs to {BEN.name}" in theirs.help


def test_a_viewer_sees_everything_and_is_told_why_nothing_can_be_pressed(store, view, as_person):
    job = training(store, ADA)
    as_person(Person("eve@lab.example", "viewer"))
    app = view("train")
    assert not app.exception
    pressed = [buttons(app)[key] for key in ("train.start", f"job.{job}.stop")]
    assert all(button.disabled and "Your role is viewer" in button.help for button in pressed)


def test_a_link_opens_a_job_at_work(store, view):
    job = training(store, ADA, seeds="0..1")
    assert store.catalog.claim_job(job, *me(), None)
    wanted = [("SS", seed, {}) for seed in (0, 1)]
    store.catalog.save_study("wu-regression", "W", "", {}, "engine")
    store.catalog.start_runs(job, "wu-regression", wanted, 100, "cpu")
    store.catalog.heartbeat(job, 50, 200, 25.0, "2 runs on cpu · 50 of 200 steps")
    (store.logs / f"{job}.log").write_text("\n".join(f"line {number}" for number in range(500)))
    app = view("train", job=str(job))
    assert not app.exception
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["Steps done"] == "50 of 200"
    assert figures["Steps a second"] == "25"
    assert figures["Time left"] == "6.0 s"
    assert figures["Device"] == "CPU"
    assert app.code[0].value.splitlines()[0] == "line 460"
    assert app.code[0].value.endswith("line 499")
    assert app.code[1].value == "python -m engine train wu-regression --seeds 2"
    assert "asked for just now by ada@\u2060lab.example" in words(app)
    assert "2 runs" in words(app)
    app.button(key=f"job.{job}.stop").click().run()
    assert store.catalog.job(job).stop_requested


@pytest.mark.parametrize(
    ("status", "label", "told"),
    [
        ("stopped", "Resume", "It was stopped at 50 of 200 steps. What it has written is kept."),
        ("failed", "Try again", "**Out of memory.** It did not fit.\n\nTrain fewer seeds."),
        ("done", None, "It is done; it worked"),
    ],
)
def test_an_ended_job_says_how_and_what_one_can_do(store, view, status, label, told):
    job = training(store, ADA, seeds="2")
    assert store.catalog.claim_job(job, *me())
    store.catalog.save_study("wu-regression", "W", "", {}, "engine")
    store.catalog.start_runs(job, "wu-regression", [("SS", 0, {})], 200, "cpu")
    store.catalog.heartbeat(job, 50, 200, 25.0, "")
    error = {"title": "Out of memory", "message": "It did not fit.", "remedy": "Train fewer seeds."}
    store.catalog.finish_job(
        job, status, error=error if status == "failed" else None, result={"runs": 1, "rows": 12},
        runs="done" if status == "done" else status,
    )  # fmt: skip
    app = view("train", job=str(job))
    assert not app.exception
    said = [*app.error, *app.info, *app.success]
    assert [one.value[: len(told)] for one in said] == [told]
    offered = {key: button for key, button in buttons(app).items() if str(key).startswith("job.")}
    assert [button.label for button in offered.values()] == ([label] if label else [])
    if label:
        offered[f"job.{job}.resume"].click().run()
        assert not app.exception
        assert store.catalog.job(job).status == "queued"


def test_a_job_that_is_not_there_is_said_in_words(store, view):
    app = view("train", job="99")
    assert not app.exception
    assert "no job 99" in app.error[0].value
