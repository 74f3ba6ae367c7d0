"""What a visitor sees before there is anything: two buttons, one command."""

import streamlit as st

from dashboard.access import alone
from dashboard.lab import Lab, create_lab
from dashboard.links import go
from dashboard.training import COMMAND, train_button
from data.store import locate
from engine.studies import study


def welcome(lab: Lab | None = None) -> None:
    """Say that nothing is here yet and how to change that, from here or on the command line."""
    demo = study("digits-shuffling")
    place = locate().expanduser().absolute()
    with st.container(border=True, width=720, key="welcome"):
        st.subheader("Nothing has been trained here yet", anchor=False)
        st.markdown(
            "Detour trains many seeds of the same network at once and shows what randomness alone "
            "does to them. "
            "Begin with the study that comes with it:"
        )
        st.markdown(f"> **{demo.title}.** {demo.claim}")
        st.caption(
            f"{len(demo.arms)} arms × {demo.seeds} seeds, {demo.steps:,} steps each; a few minutes "
            f"on a laptop. "
            "Its traces can be watched while it trains."
        )
        access = alone() if lab is None else lab.access
        with st.container(horizontal=True, gap="small"):
            train_button(access, "welcome.train", lab)
            if st.button(
                "Upload logs", icon=":material/upload_file:", key="welcome.upload",
                disabled=not access.may_change,
                help="Of runs made elsewhere: TensorBoard, W&B, MLflow, Lightning, CSV and more.",
            ):  # fmt: skip
                if lab is None:
                    create_lab()
                go("upload")
        st.markdown("Or on the command line:")
        st.code(COMMAND, language="bash")
        made = "Results are kept in" if lab else "The button makes the store"
        st.caption(f"{made} `{place}`. Set `DETOUR_STORE` to keep it elsewhere.")
