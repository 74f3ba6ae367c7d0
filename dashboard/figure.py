"""Puts a figure on the page with its numbers, its files and how it was computed."""

import csv
import html
import io
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import altair as alt
import pandas as pd
import streamlit as st

from dashboard.charts.palette import export_config
from dashboard.controls import here
from dashboard.figure_files import Figure, Plot, to_json
from dashboard.figure_files import Provenance as Provenance
from dashboard.prepared import Prepared, beside, prepare
from dashboard.report_adding import add_button, times_asked
from dashboard.share_links import address
from dashboard.wording import coded, escaped, message
from data.formulas import guarded

CANVAS_FROM = 2000
"""Rows from which a canvas draws sooner than SVG; the exports are vectors all the same."""
FIDELITY = (
    "Of each stretch of a run the first, last, least and greatest finite value is kept, and the "
    "first NaN and Inf. "
    "A narrower range shows every point."
)


def show(
    chart: alt.LayerChart | Prepared,
    key: str,
    alt_text: str,
    frame: pd.DataFrame,
    how: Provenance,
    caption: str = "",
    fidelity: str = "",
    narrow: bool = False,
    on_select: Callable[[], None] | Literal["ignore"] = "ignore",
    again: Figure | None = None,
) -> None:
    """Show a chart, its caption, and below it the export, the table and how it was computed.

    Args:
        chart: the figure; one that is kept is prepared.
        key: its name on the page, which also names its files.
        alt_text: what the figure shows, for readers who cannot see it.
        frame: exactly the rows that are drawn.
        how: where the figure comes from.
        caption: what the reader should know beside it.
        fidelity: which of the measured points are drawn.
        narrow: whether the figure has half the page, so that `fidelity` needs a line of its own.
        on_select: called when a reader selects in the figure; what was selected is in the session state
            under `key`.
        again: the figure that this is, of one that was kept and is shown once more.
    """
    chart = _prepared(chart)
    _draw(chart, key, alt_text, len(frame), on_select)
    if caption:
        st.caption(message(caption))
    made = again or _figure([Panel("", chart, alt_text)], caption, fidelity, frame, how)
    _foot(chart, key, alt_text, frame, how, made, fidelity, narrow)


class Panel(NamedTuple):
    """One of several plots that make a figure.

    Attributes:
        title: above it.
        chart: the plot.
        alt_text: what it shows, for readers who cannot see it.
    """

    title: str
    chart: alt.LayerChart | Prepared
    alt_text: str


def panels(
    parts: Sequence[Panel],
    key: str,
    frame: pd.DataFrame,
    how: Provenance,
    caption: str = "",
    again: Figure | None = None,
) -> None:
    """Show plots side by side that are one figure, with one export, table and provenance below.

    Args:
        parts: from left to right.
        key: the figure's name on the page, which also names its files.
        frame: exactly the rows that are drawn in all of them.
        how: where the figure comes from.
        caption: what the reader should know beside it.
        again: the figure that this is, of one that was kept and is shown once more.
    """
    charts = [_prepared(part.chart) for part in parts]
    parts = [part._replace(chart=chart) for part, chart in zip(parts, charts, strict=True)]
    for column, (place, part) in zip(st.columns(len(parts), gap="small"), enumerate(parts), strict=True):
        with column:
            st.markdown(f"**{escaped(part.title)}**")
            _draw(charts[place], f"{key}.{place}", part.alt_text, len(frame) // len(parts), "ignore")
    if caption:
        st.caption(message(caption))
    whole = beside(charts)
    made = again or _figure(parts, caption, "", frame, how)
    _foot(whole, key, " ".join(part.alt_text for part in parts), frame, how, made)


def _figure(
    parts: Sequence[Panel], caption: str, fidelity: str, frame: pd.DataFrame, how: Provenance
) -> Callable[[], Figure]:
    """Return what makes the figure as it is kept, once somebody asks for it."""
    place = here()  # now: a download is made later, off the page

    def make() -> Figure:
        plots = tuple(Plot(part.title, part.alt_text, _prepared(part.chart).exported) for part in parts)
        return Figure(plots, caption, fidelity, safe_csv(frame).decode(), how, place, datetime.now(UTC))

    return make


def _prepared(chart: alt.LayerChart | Prepared) -> Prepared:
    return chart if isinstance(chart, Prepared) else prepare(chart)


def _draw(
    chart: Prepared,
    key: str,
    alt_text: str,
    rows: int,
    on_select: Callable[[], None] | Literal["ignore"],
) -> None:
    extra: dict[str, Any] = {"padding": {"left": 2, "top": 4, "right": 4, "bottom": 2}}
    if rows > CANVAS_FROM:
        extra["usermeta"] = {"embedOptions": {"renderer": "canvas"}}
    spec = {**chart.drawn, **extra}
    st.vega_lite_chart(spec=spec, width="stretch", key=key, alt=alt_text, on_select=on_select)


def _foot(
    chart: Prepared,
    key: str,
    alt_text: str,
    frame: pd.DataFrame,
    how: Provenance,
    made: Figure | Callable[[], Figure],
    fidelity: str = "",
    narrow: bool = False,
) -> None:
    """Show the export, the table and how the figure was computed."""
    name = re.sub(r"[^\w-]+", "-", key)
    if fidelity and narrow:
        st.badge(escaped(fidelity), icon=":material/verified:", color="gray", help=FIDELITY)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if fidelity and not narrow:
            st.badge(escaped(fidelity), icon=":material/verified:", color="gray", help=FIDELITY)
        files = f"{key}.export{times_asked()}"
        with st.popover("Export", icon=":material/download:", type="tertiary", key=files):
            st.caption("The files hold exactly what is drawn. PNG at screen size is in the chart's own menu.")
            st.download_button(
                "CSV", lambda: safe_csv(frame), f"{name}.csv", "text/csv", key=f"{key}.csv", on_click="ignore"
            )
            st.download_button(
                "SVG",
                _svg(chart, how, alt_text),
                f"{name}.svg",
                "image/svg+xml",
                key=f"{key}.svg",
                on_click="ignore",
            )
            st.download_button(
                "PNG", _png(chart), f"{name}.png", "image/png", key=f"{key}.png", on_click="ignore"
            )
            st.download_button(
                "JSON", lambda: to_json(made if isinstance(made, Figure) else made()), f"{name}.json",
                "application/json", key=f"{key}.json", on_click="ignore",
                help="Opens again as it is, under Reports, here or in another lab.",
            )  # fmt: skip
            if not isinstance(made, Figure):
                add_button(made, key)
        with st.popover("Table", icon=":material/table_rows:", type="tertiary", key=f"{key}.table"):
            st.caption(f"{escaped(alt_text)} {len(frame):,} rows, as drawn.")
            st.dataframe(frame, hide_index=True, height=320, key=f"{key}.rows", alt=alt_text)
        with st.popover(
            "How this was computed", icon=":material/function:", type="tertiary", key=f"{key}.how"
        ):
            link = address(made.place) if isinstance(made, Figure) else (st.context.url or "")
            rows = {
                "Query": coded(how.query),
                "Formula": escaped(how.formula),
                "Source": escaped(how.source),
                "Data version": coded(how.data),
                "Code version": coded(how.code),
                "Link": link and f"[{link}]({link}), with the parameters in the address bar",
            }
            st.table({name: text for name, text in rows.items() if text}, border="horizontal")


def safe_csv(frame: pd.DataFrame) -> bytes:
    """Return the frame as CSV in which no cell can be taken for a formula by a spreadsheet.

    Text that begins with = + - @ or a control character gets an apostrophe in front; numbers stay.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([guarded(name) for name in frame.columns])
    writer.writerows([guarded(cell) for cell in row] for row in frame.itertuples(index=False, name=None))
    return out.getvalue().encode("utf-8")


def _svg(chart: Prepared, how: Provenance, alt_text: str) -> Callable[[], bytes]:
    def make() -> bytes:
        import vl_convert  # 40 MB of renderer, loaded only when somebody asks for a file

        svg = str(vl_convert.vegalite_to_svg(_spec(chart)))
        told = f"{alt_text} Query: {how.query}. Formula: {how.formula}. Data {how.data}, code {how.code}."
        return svg.replace(">", f"><desc>{html.escape(told)}</desc>", 1).encode("utf-8")

    return make


def _png(chart: Prepared) -> Callable[[], bytes]:
    def make() -> bytes:
        import vl_convert

        return bytes(vl_convert.vegalite_to_png(_spec(chart), scale=2))

    return make


def _spec(chart: Prepared) -> dict[str, Any]:
    spec = chart.exported
    for part in spec.get("hconcat", [spec]):
        part["width"] = 820 // len(spec.get("hconcat", [spec]))
    spec["config"] = {**spec.get("config", {}), **export_config()}
    return spec
