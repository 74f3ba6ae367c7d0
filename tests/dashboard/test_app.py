import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dashboard import views as package
from dashboard.charts import palette
from data.errors import LabError
from engine.jobs import queue

ROOT = Path(__file__).resolve().parents[2]


def test_the_app_loads_neither_torch_nor_hmmlearn():
    code = "import sys, dashboard.app; print(sorted({'torch', 'hmmlearn', 'sklearn'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_views_are_found_by_listing_and_each_states_its_question():
    found = package.views()
    assert [view.name for view in found] == [
        "studies",
        "runs",
        "traces",
        "latent_states",
        "detours",
        "shuffling",
        "connectivity",
        "upload",
        "train",
        "reports",
        "admin",
    ]
    assert all(view.question.endswith("?") for view in found)


def test_a_malformed_view_fails_at_once_with_its_name_and_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("TITLE = 'Broken'\n")
    monkeypatch.setattr(package, "__path__", [str(tmp_path)])
    with pytest.raises(TypeError, match=r"dashboard.views.broken` must define `ICON`, `QUESTION`"):
        package.views()


def test_the_palette_of_exports_is_the_theme_of_the_page():
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    assert tuple(theme["light"]["chartCategoricalColors"]) == palette.ARMS_LIGHT
    assert tuple(theme["dark"]["chartCategoricalColors"]) == palette.ARMS_DARK


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


def test_every_arm_stands_out_on_its_background():
    assert all(contrast(colour, "#FFFFFF") >= 3 for colour in palette.ARMS_LIGHT)
    assert all(contrast(colour, "#12161C") >= 3 for colour in palette.ARMS_DARK)


def seen(colour, kind):
    """Return a colour as a dichromat sees it, in linear RGB (Viénot, Brettel & Mollon 1999)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (part**2.2 for part in parts)
    if kind == "protan":
        return (0.11238 * r + 0.88762 * g, 0.11238 * r + 0.88762 * g, 0.00401 * (r - g) + b)
    return (0.29275 * r + 0.70725 * g, 0.29275 * r + 0.70725 * g, -0.02234 * (r - g) + b)


@pytest.mark.parametrize("kind", ["protan", "deutan"])
@pytest.mark.parametrize("colours", [palette.ARMS_LIGHT, palette.ARMS_DARK])
def test_the_first_four_arms_stay_apart_for_colour_blind_readers(kind, colours):
    shown = [seen(colour, kind) for colour in colours[:4]]
    for i, one in enumerate(shown):
        for other in shown[i + 1 :]:
            distance = sum(
                (max(a, 0) ** (1 / 2.2) - max(b, 0) ** (1 / 2.2)) ** 2
                for a, b in zip(one, other, strict=True)
            )
            assert distance**0.5 > 0.1, (kind, colours)


def test_what_a_button_runs_into_is_told_on_the_page(lab, view, monkeypatch):
    lab("running")
    app = view("studies")

    def full(*_):
        raise LabError("The disk is full", "Nothing was stopped.", "Free some space.")

    monkeypatch.setattr(queue, "stop", full)
    next(button for button in app.button if button.label == "Stop").click().run()
    assert not app.exception
    assert "The disk is full" in app.error[0].value
    assert "Free some space." in app.error[0].value
    app.run()
    assert not app.error


@pytest.mark.parametrize("where", ["full", "running"])
def test_an_unexpected_error_is_told_with_its_traceback_in_an_expander(lab, view, monkeypatch, where):
    lab(where)

    def broken(*_):
        raise ZeroDivisionError("made for a test")

    monkeypatch.setattr("data.traces.Traces.version", broken)
    app = view("traces")
    assert not app.exception
    assert "ZeroDivisionError: made for a test" in app.error[0].value
    assert "Traceback" in app.code[0].value
