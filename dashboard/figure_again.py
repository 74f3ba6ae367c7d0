"""Shows a figure that was kept or comes from a file, as it was."""

from typing import Any

import pandas as pd

from dashboard import figure
from dashboard.figure_files import Figure, Plot
from dashboard.prepared import Prepared


def show_again(kept: Figure, key: str) -> None:
    """Show a figure as it was, with its table, its files and how it was computed.

    Args:
        kept: the figure.
        key: its name on this page.
    """
    if len(kept.plots) == 1:
        (plot,) = kept.plots
        figure.show(
            _prepared(plot), key, plot.alt_text, kept.frame, kept.how, kept.caption, kept.fidelity, again=kept
        )
    else:
        parts = [figure.Panel(plot.title, _prepared(plot), plot.alt_text) for plot in kept.plots]
        figure.panels(parts, key, kept.frame, kept.how, kept.caption, again=kept)


def _prepared(plot: Plot) -> Prepared:
    datasets: dict[str, list[dict[str, Any]]] = plot.spec.get("datasets", {})
    spec = {name: told for name, told in plot.spec.items() if name != "datasets"}
    return Prepared(spec, {name: pd.DataFrame(rows) for name, rows in datasets.items()})
