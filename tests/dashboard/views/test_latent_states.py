from engine.jobs import queue
from tests.dashboard.conftest import words


def test_without_a_fit_the_form_starts_one_as_a_job(lab, view, monkeypatch):
    lab("running")
    sent = []
    monkeypatch.setattr(queue, "submit", lambda store, kind, study, spec: sent.append((kind, spec)) or 1)
    app = view("latent_states")
    assert not app.exception
    assert "No latent states have been fitted yet" in words(app)
    app.slider(key="latent.fit.states").set_range(2, 4)
    app.multiselect(key="latent.fit.arms").set_value(["SS", "RR"])
    app.form_submit_button[0].click().run()
    assert not app.exception
    ((kind, spec),) = sent
    assert kind == "fit"
    assert tuple(spec["states"]) == (2, 3, 4)
    assert tuple(spec["arms"]) == ("SS", "RR")


def test_a_fit_is_shown_whole_with_its_doubts(lab, view):
    lab("full")
    app = view("latent_states")
    assert not app.exception
    assert not app.error
    text = words(app)
    for part in (
        "How many states",
        "How far to believe it",
        "Moves between states",
        "What each state is like",
        "How long",
    ):
        assert part in text
    assert "Within states neighbouring rows still correlate." in text
    assert "Gradient norm (constant)" in text
    assert len(app.get("vega_lite_chart")) == 6  # choice of K, two arms, moves, fingerprints, dwell times


def test_arms_outside_the_fit_are_said(lab, view):
    lab("full")
    app = view("latent_states", arms="SS no BN")
    assert not app.exception
    assert "not in this analysis" in words(app)
