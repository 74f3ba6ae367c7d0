"""A ribbon of latent states for each seed under the loss, on one shared axis; pale where the model is unsure."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import state_colour, state_name

_CERTAINTY = (0.5, 0.7, 0.9)


def stretches(
    steps: np.ndarray, path: np.ndarray, confidence: np.ndarray, arm: str, seed: int, certainty: bool = True
) -> pd.DataFrame:
    """Return a run's path as stretches of one state and one band of certainty: arm, seed, start, end, state, confidence.

    Args:
        steps: [T] optimizer steps, increasing.
        path: [T] states.
        confidence: [T] posterior probability of the state on the path.
        arm: of the run.
        seed: of the run.
        certainty: whether to split where the certainty passes 0.5, 0.7 or 0.9; else only where the state changes.
    """
    if not len(steps):
        return pd.DataFrame({name: [] for name in ("arm", "seed", "start", "end", "state", "confidence")})
    band = np.digitize(confidence, _CERTAINTY) if certainty else np.zeros(len(path), dtype=int)
    begins = np.flatnonzero(np.r_[True, (np.diff(path) != 0) | (np.diff(band) != 0)])
    ends = np.r_[begins[1:], len(path)]
    widths = np.diff(steps)
    last = steps[-1] + (int(np.median(widths)) if len(widths) else 1)
    return pd.DataFrame(
        {
            "arm": arm,
            "seed": seed,
            "start": steps[begins],
            "end": np.r_[steps[begins[1:]], last],
            "state": [state_name(int(state)) for state in path[begins]],
            "confidence": [float(confidence[a:b].mean()) for a, b in zip(begins, ends, strict=True)],
        }
    )


def chart(
    ribbons: pd.DataFrame, loss: pd.DataFrame, rows: Sequence[str], n_states: int, y_title: str, log: bool
) -> alt.VConcatChart:
    """Return the figure for one arm.

    Args:
        ribbons: row, start, end, state, confidence; `row` names the seed.
        loss: row, x, value: the metric of the same runs.
        rows: the rows from top to bottom.
        n_states: how many states the model has, which fixes the colours.
        y_title: of the metric above.
        log: whether the metric is drawn on a log axis.
    """
    kept = loss[np.isfinite(loss["value"]) & ((loss["value"] > 0) | (not log))]
    low, high = edges.domain(kept["value"].to_numpy(float), log)
    start = float(min(ribbons["start"].min(), kept["x"].min() if len(kept) else np.inf))
    scale = alt.Scale(domain=[start, float(ribbons["end"].max())], nice=False)
    gutter = {"minExtent": 62, "maxExtent": 62}
    upper = (
        alt.Chart(kept)
        .mark_line(strokeWidth=1, opacity=0.5, color="#8490A0")
        .encode(
            x=alt.X("x:Q", title=None, scale=scale, axis=alt.Axis(labels=False, ticks=False, grid=False)),
            y=alt.Y(
                "value:Q",
                title=y_title,
                scale=alt.Scale(type="log" if log else "linear", domain=[low, high], nice=False),
                axis=alt.Axis(format="~g", tickCount=4, **gutter),
            ),
            detail="row:N",
            tooltip=[alt.Tooltip("row:N", title="seed")],
        )
        .properties(height=120)
    )
    lower = (
        alt.Chart(ribbons)
        .mark_rect(height=alt.RelativeBandSize(0.82))
        .encode(
            x=alt.X("start:Q", title="Step", scale=scale, axis=alt.Axis(format="~s", grid=False)),
            x2="end:Q",
            y=alt.Y(
                "row:N", title="Seed", sort=list(rows), axis=alt.Axis(ticks=False, domain=False, **gutter)
            ),
            color=state_colour(n_states),
            opacity=alt.Opacity(
                "confidence:Q", legend=None, scale=alt.Scale(domain=[0.4, 1.0], range=[0.15, 1.0], clamp=True)
            ),
            tooltip=[
                alt.Tooltip("row:N", title="seed"),
                alt.Tooltip("state:N"),
                alt.Tooltip("start:Q", title="from step", format=","),
                alt.Tooltip("end:Q", title="to step", format=","),
                alt.Tooltip("confidence:Q", format=".2f"),
            ],
        )
        .properties(height=max(17 * len(rows), 60))
    )
    return alt.vconcat(upper, lower, spacing=6)
