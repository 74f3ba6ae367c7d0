import altair as alt

from dashboard.charts.palette import ARMS_LIGHT, arm_colour, arm_dash

FEW = [f"arm {number}" for number in range(len(ARMS_LIGHT))]
MANY = [f"order {number} K=128" for number in range(24)]


def test_a_legend_wider_than_the_figure_goes_on_in_rows_that_fit():
    assert arm_colour(FEW[:3], FEW[:3]).to_dict()["legend"].get("columns") is None
    legend = arm_colour(MANY, MANY, width=760).to_dict()["legend"]
    assert legend["values"] == MANY
    assert 2 <= legend["columns"] <= 6
    assert arm_colour(MANY, MANY, width=10).to_dict()["legend"]["columns"] == 1


def test_arms_of_one_colour_have_strokes_of_their_own():
    assert arm_dash(FEW, FEW) == {}
    scale = arm_dash(MANY, MANY[:2])["strokeDash"].to_dict()["scale"]
    looks = {(place % len(ARMS_LIGHT), tuple(dash)) for place, dash in enumerate(scale["range"])}
    assert len(looks) == len(MANY)
    assert scale["domain"] == MANY


def test_both_legends_are_one():
    colour, dash = arm_colour(MANY, MANY), arm_dash(MANY, MANY)["strokeDash"]
    assert isinstance(dash, alt.StrokeDash)
    assert colour.to_dict()["legend"] == dash.to_dict()["legend"]
    assert colour.to_dict()["scale"]["domain"] == dash.to_dict()["scale"]["domain"]
