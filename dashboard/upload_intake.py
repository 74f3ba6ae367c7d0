"""Takes files made elsewhere and has them read; a page knows an upload by a token in its address."""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.queries import ACTIVE
from dashboard.wording import count
from data.importers import importers
from data.importing.intake import Intake
from data.importing.roles import Corrections
from engine.jobs import queue
from engine.jobs.import_request import KIND, newest, spec

TOKEN = "upload.token"
MEGABYTES = 1000
COMMAND = "python -m engine import logs/ --dry-run"
FILES, FOLDER = "Files", "A folder"
_GIVEN = "upload.given"


def token() -> str | None:
    """Return which upload the page is about: of the address, else as the session left it."""
    held = st.query_params.get(TOKEN) or st.session_state.get(TOKEN)
    if held:
        hold(str(held))
    return held or None


def hold(token: str | None) -> None:
    """Make the page about an upload, or about none."""
    st.session_state[TOKEN] = token
    if token is None:
        st.query_params.pop(TOKEN, None)
    elif st.query_params.get(TOKEN) != token:
        st.query_params[TOKEN] = token


def submit(lab: Lab, token: str, study: str | None, name: str, said: Corrections, commit: bool) -> None:
    """Have an upload read and planned, or imported, unless a job is at it.

    Args:
        lab: whose store it lies in.
        token: of the upload.
        study: to import into; None for a name after the files.
        name: of the study, that name too.
        said: what was corrected.
        commit: whether to import.
    """
    job = newest(lab.store.catalog.jobs(), token)
    if job is None or job.status not in ACTIVE:
        queue.submit(lab.store, KIND, name, spec(token, study, said, commit, lab.access.name))


def ask(lab: Lab) -> None:
    """Ask for files or a folder, and teach what can be given."""
    with st.container(border=True, key="upload.ask"):
        st.subheader("Bring the logs of runs made elsewhere", anchor=False)
        st.markdown(
            "Give all runs of a study together: files, a folder or an archive of them. Each file is known by "
            "its content. You see what was found, and can correct it, before anything is imported; nothing "
            "in a file is ever run."
        )
        way = st.segmented_control("Give", (FILES, FOLDER), default=FILES, required=True, key="upload.way")
        key = f"{_GIVEN}.{way}"
        given = st.file_uploader(
            "Logs", accept_multiple_files="directory" if way == FOLDER else True, key=key,
            max_upload_size=MEGABYTES, label_visibility="collapsed", disabled=not lab.access.may_change,
        )  # fmt: skip
        with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
            st.button(
                "Read the files", icon=":material/manage_search:", type="primary", key="upload.read",
                disabled=not given or not lab.access.may_change, on_click=act, args=(_receive, lab, key),
            )  # fmt: skip
            st.caption(
                f"{count(len(given), 'file')}, {sum(one.size for one in given) / 1e6:,.1f} MB."
                if given
                else f"At most {MEGABYTES:,} MB a file here, any size on the command line."
            )
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown("**What is read**")
        st.caption(" · ".join(sorted({one.title for one in importers().values()}, key=str.lower)))
    with right:
        st.markdown("**On the command line**")
        st.code(COMMAND, language="bash")
        st.download_button(
            "A small example", sample, "example-logs.csv", "text/csv", icon=":material/download:",
            key="upload.sample", type="tertiary", on_click="ignore",
            help="Two arms with three seeds each, in one CSV file: download it, then give it above.",
        )  # fmt: skip


def _receive(lab: Lab, key: str) -> None:
    intake = Intake.receive(lab.store, named(st.session_state.get(key) or []))
    _let_go()
    submit(lab, intake.token, None, intake.study, Corrections(), False)
    hold(intake.token)


def _let_go() -> None:
    """Free the memory of files that lie in the store now; Streamlit would hold it as long as the session."""
    context = get_script_run_ctx()
    if context is not None:
        context.uploaded_file_mgr.remove_session_files(context.session_id)


def named(files: Sequence[Any]) -> dict[str, Any]:
    """Return files by their names, each in a folder of its own where a name comes again."""
    found: dict[str, Any] = {}
    for place, file in enumerate(files):
        found[file.name if file.name not in found else f"{place + 1}/{file.name}"] = file
    return found


def sample() -> str:
    """Return a small log in CSV: losses and accuracy of two arms with three seeds each."""
    lines = ["arm,seed,step,train_loss,val_loss,accuracy"]
    for arm, rate in (("SS", 0.05), ("RR", 0.08)):
        for seed in range(3):
            for step in range(0, 100, 5):
                loss = 2.3 * (1 - rate) ** step + 0.02 * (1 + seed)
                gap = 1.1 + 0.02 * seed
                accuracy = 1 - 0.9 * (1 - rate) ** step
                lines.append(f"{arm},{seed},{step},{loss:.5f},{loss * gap:.5f},{accuracy:.4f}")
    return "\n".join(lines) + "\n"
