"""Whether the lab is well, and how it is set up."""

import shutil
from collections import Counter

import pandas as pd
import streamlit as st

from dashboard import queries
from dashboard.lab import Lab
from dashboard.wording import ago, count
from data import migrations
from data.settings import settings, shown
from engine.version import code_version

LEAST_FREE = 5 << 30
"""Bytes below which the disk is called nearly full."""


def show(lab: Lab) -> None:
    """Show room, jobs and versions, and the commands that look deeper."""
    usage = shutil.disk_usage(lab.store.root)
    jobs = lab.store.catalog.jobs()
    counted = Counter(job.status for job in jobs)
    with st.container(horizontal=True):
        st.metric("Free on the disk", f"{usage.free / 2**30:,.0f} GiB", border=True)
        st.metric("Jobs at work", counted["running"], border=True)
        st.metric("Jobs that wait", counted["queued"], border=True)
        st.metric("Jobs that failed", counted["failed"], border=True)
    if usage.free < LEAST_FREE:
        st.warning(
            f"The disk of `{lab.store.root}` is nearly full. `python -m engine tidy` clears what was "
            "deleted.",
            icon=":material/hard_disk:",
        )
    for job in queries.active_jobs(lab.store):
        heard = f"heard of {ago(job.heartbeat_at)}" if job.heartbeat_at else "not heard of yet"
        st.caption(f"Job {job.id} on {job.host or 'no machine yet'}: {job.status}, {heard}.")
    st.caption(
        f"Code {code_version()}, catalogue {migrations.HEAD}, {count(len(jobs), 'job')} in all. "
        "`/api/ready` answers monitors. On the command line `check` holds every file to its hash, `backup` "
        "copies the lab while it runs and `tidy` clears what was deleted long enough ago."
    )


def configured(lab: Lab) -> None:
    """Show every setting, where it came from and what it means; secrets say only that they are set."""
    rows = shown(settings())
    st.caption(
        "`detour.toml` and the environment set these when the app starts; `python -m engine config --toml`."
    )
    st.dataframe(
        pd.DataFrame(
            {
                "Setting": [row.name for row in rows],
                "Value": [row.value for row in rows],
                "From": [row.origin for row in rows],
                "Meaning": [row.meaning for row in rows],
                "Variable": [row.variable for row in rows],
            }
        ),
        hide_index=True, key="admin.settings", height=560, alt="How this lab is set up.",
    )  # fmt: skip
