"""A fit as a file: JSON out, JSON in, never a pickle."""

import streamlit as st

from dashboard.callbacks import act
from dashboard.fits import Fit, label
from dashboard.lab import Lab

MOST_MEGABYTES = 100


def download(fit: Fit) -> None:
    """Offer the fit as a file that opens again here, in another lab or in a notebook."""

    def text() -> str:
        from engine.analysis.latent import to_json  # here: scikit-learn behind it takes a second to load

        return to_json(fit.summary, fit.arrays)

    st.download_button(
        "Download fit", text, f"{fit.row.study}-states-{fit.row.id}.json", "application/json",
        icon=":material/download:", key="latent.download", on_click="ignore",
        help="JSON with every parameter to the last bit. It opens again under Open a fit, and in a notebook: "
        "`engine.analysis.latent.from_json`.",
    )  # fmt: skip


def upload(lab: Lab, study: str) -> None:
    """Take a fit from a file and read its states off this study's runs."""
    with st.popover(
        "Open a fit", icon=":material/upload_file:", key="latent.open", disabled=not lab.access.may_change
    ):
        file = st.file_uploader(
            "Fit of latent states (JSON)", type="json", key="latent.file", max_upload_size=MOST_MEGABYTES
        )
        st.caption(
            "A file that Download fit or `python -m engine fit --out` has written. Its states are read "
            "off this "
            "study's own runs, which must measure its metrics."
        )
        if file is not None:
            st.button(
                "Open", type="primary", key="latent.file.open", on_click=act,
                args=(take, lab, study, file.getvalue(), file.name),
            )  # fmt: skip


def take(lab: Lab, study: str, content: bytes, name: str) -> None:
    """Keep the fit that a file holds and choose it on the page.

    Raises:
        LabError: the file is no fit, or one that the study's runs do not suit.
    """
    from engine.jobs.fit_import import import_fit

    row = import_fit(lab.store, study, content.decode("utf-8", errors="replace"), name)
    st.session_state["latent.analysis"] = label(row)
