"""Logs of runs made elsewhere: give them, see what was found, correct it, import it, undo it."""

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from dashboard import upload_findings, upload_history, upload_mapping
from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.queries import ACTIVE
from dashboard.training import job_card
from dashboard.upload_intake import ask, hold, submit, token
from dashboard.wording import count, escaped, failure, message
from data.errors import LabError
from data.importing.committing import require_name
from data.importing.intake import Intake, find
from data.importing.limits import LIMITS
from data.importing.planning import Plan
from data.importing.roles import Corrections
from data.rows import JobRow
from engine.jobs.import_request import newest

TITLE = "Upload"
ICON = ":material/upload_file:"
QUESTION = "What do runs made elsewhere say?"
ORDER = 80

_MOST_WARNINGS = 6


def render(lab: Lab) -> None:
    """Show the upload that the address names, else ask for one; past imports below."""
    given = token()
    if given is None:
        ask(lab)
    else:
        _upload(lab, given)
    upload_history.show(lab)


def _upload(lab: Lab, given: str) -> None:
    job = newest(lab.store.catalog.jobs(), given)
    if job is not None and job.result and job.result.get("upload"):
        upload_history.imported(lab, lab.store.catalog.upload(int(job.result["upload"])))
        st.button(
            "Import other files", icon=":material/upload_file:", key="upload.other", on_click=hold,
            args=(None,),
        )  # fmt: skip
        return
    try:
        intake = find(lab.store, given)
    except LabError as error:
        hold(None)
        st.warning(failure(error), icon=":material/data_alert:")
        ask(lab)
        return
    if job is not None and job.status in ACTIVE:
        live(lab, job.study, lambda: _at_work(lab, job.id))
        return
    _ended(job)
    staged = intake.staged
    if staged is None:
        _again(lab, intake)
        return
    upload_findings.show(intake, staged)
    if staged.shapes:
        _correct(lab, intake, job)
    else:
        _discard(lab, intake)


def _at_work(lab: Lab, number: int) -> None:
    job = lab.store.catalog.job(number)
    if job.status in ACTIVE:
        job_card(lab, job)
        doing = "imported, all of them or none" if job.spec["commit"] else "read; nothing is imported yet"
        st.caption(f"The files are being {doing}. This page can be closed and opened again.")


def _ended(job: JobRow | None) -> None:
    """Say how the last job ended, unless it did what it should."""
    if job is None or job.status == "done":
        return
    if job.error is not None:
        st.error(failure(job.error), icon=":material/error:")
    else:
        st.info("It was stopped.", icon=":material/stop_circle:")
    st.caption("Nothing was imported, and your corrections are kept.")


def _again(lab: Lab, intake: Intake) -> None:
    """Offer to read files that were not read to their end."""
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Read the files", icon=":material/manage_search:", type="primary", key="upload.again",
            disabled=not lab.access.may_change, on_click=act,
            args=(submit, lab, intake.token, None, intake.study, Corrections(), False),
        )  # fmt: skip
        _discard(lab, intake)


def _discard(lab: Lab, intake: Intake) -> None:
    st.button(
        "Discard these files", icon=":material/delete:", type="tertiary", key="upload.discard",
        disabled=not lab.access.may_change, on_click=_forget, args=(intake,),
    )  # fmt: skip


def _forget(intake: Intake) -> None:
    intake.discard()
    hold(None)


def _correct(lab: Lab, intake: Intake, job: JobRow | None) -> None:
    """Show what columns and runs are taken as, and check or import them as corrected."""
    staged, planned = intake.staged, intake.planned
    if staged is None:
        return
    said = Corrections.from_json(job.spec["said"]) if job else Corrections()
    locked, version = not lab.access.may_change, f"{intake.token}.{job.id if job else 0}"
    plan = planned[1] if planned else None
    if plan is not None and plan.warnings:
        _warn(plan.warnings)
    st.subheader("Columns", anchor=False)
    st.caption("Change what a column is taken as, or what a metric is called, then check.")
    columns = upload_mapping.columns_of(staged, plan, said)
    edited = upload_mapping.edit_columns(columns, f"upload.columns.{version}", locked)
    wanted = upload_mapping.corrected(columns, edited, said)
    ours = upload_mapping.lab_names(edited)
    pairs: list[tuple[str, int]] = []
    runs = None if plan is None else upload_mapping.runs_of(plan, said)
    asking = st.container(horizontal=True, gap="small")
    if runs is not None:
        st.subheader("Runs", anchor=False)
        st.caption(
            "Seeds pair the runs of two arms. Where a column tells the run, arm or seed, map it above first."
        )
        changed = upload_mapping.edit_runs(runs, f"upload.runs.{version}", locked)
        wanted = upload_mapping.renamed(runs, changed, wanted)
        pairs = [(str(arm), int(seed)) for arm, seed in zip(changed["Arm"], changed["Seed"], strict=True)]
    study = _study(lab, intake, job)
    usable = study is not None and _may_be(lab, study, pairs)
    named = Corrections(wanted.roles, {**wanted.names, **ours}, wanted.runs)
    with asking:
        st.button(
            "Use the lab's names", icon=":material/label:", key="upload.lab_names",
            disabled=locked or not ours, on_click=act,
            args=(submit, lab, intake.token, study, study or intake.study, named, False),
            help="; ".join(f"{escaped(theirs)} becomes {name}" for theirs, name in list(ours.items())[:8])
            or "No metric has a name that the lab knows under another.",
        )  # fmt: skip
    _buttons(lab, intake, study, wanted, plan, locked or not usable, wanted != said)


def _buttons(
    lab: Lab, intake: Intake, study: str | None, wanted: Corrections, plan: Plan | None, off: bool,
    changed: bool,
) -> None:  # fmt: skip
    name = study or intake.study
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Check", icon=":material/fact_check:", key="upload.check", disabled=off, on_click=act,
            args=(submit, lab, intake.token, study, name, wanted, False),
            help="Works out runs and rows anew with your corrections; nothing is imported.",
        )  # fmt: skip
        st.button(
            "Import", icon=":material/download_done:", type="primary", key="upload.import",
            disabled=off or plan is None, on_click=act,
            args=(submit, lab, intake.token, study, name, wanted, True),
            help="All of it at once or, where anything is wrong, nothing.",
        )  # fmt: skip
        st.button(
            "Forget corrections", icon=":material/restart_alt:", type="tertiary", key="upload.forget",
            disabled=off or wanted == Corrections(), on_click=act,
            args=(submit, lab, intake.token, study, name, Corrections(), False),
        )  # fmt: skip
        _discard(lab, intake)
        if changed:
            st.caption("Corrections that have not been checked yet.")


def _warn(warnings: Sequence[str]) -> None:
    """Show what the plan warns of, the first few at once."""
    told = [f"- {message(one)}" for one in warnings]
    with st.container(border=True, key="upload.warnings", gap="small"):
        st.markdown(f":orange-badge[:material/warning: {count(len(told), 'note')}]")
        st.markdown("\n".join(told[:_MOST_WARNINGS]))
        if len(told) > _MOST_WARNINGS:
            with st.expander(f"{len(told) - _MOST_WARNINGS:,} more", type="compact"):
                st.markdown("\n".join(told[_MOST_WARNINGS:]))


def _study(lab: Lab, intake: Intake, job: JobRow | None) -> str | None:
    """Ask into which study; None for an empty choice."""
    there = [row.name for row in lab.store.catalog.studies() if row.source != "engine"]
    first = (job.spec["study"] if job else None) or intake.study
    options = list(dict.fromkeys([first, intake.study, *there]))
    return st.selectbox(
        "Study", options, index=0, accept_new_options=True, key=f"upload.study.{intake.token}", width=420,
        disabled=not lab.access.may_change,
        help="A new name, or a study that was imported before: then its runs of the same arm and seed are "
        "replaced.",
    )  # fmt: skip


def _may_be(lab: Lab, study: str, pairs: Sequence[tuple[str, int]]) -> bool:
    """Say what an import into a study does to it, or why it cannot be."""
    catalog = lab.store.catalog
    try:
        require_name(study, LIMITS)
        catalog.require_importable(study)
    except LabError as error:
        st.warning(failure(error), icon=":material/data_alert:")
        return False
    (arm, seed), most = Counter(pairs).most_common(1)[0] if pairs else (("", 0), 0)
    if most > 1:
        st.warning(
            f"{most} runs are arm {escaped(arm)} with seed {seed}: give each a seed of its own.",
            icon=":material/data_alert:",
        )
    if any(row.name == study for row in catalog.studies()):
        again = catalog.replaced(study, pairs)
        st.info(
            f"**{escaped(study)}** is there already. {count(again, 'run')} of it "
            f"{'is' if again == 1 else 'are'} replaced, {count(len(pairs) - again, 'run')} added. Undoing "
            "the import brings the replaced ones back.",
            icon=":material/merge:",
        )
    return True
