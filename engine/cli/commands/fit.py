"""`fit`: infer latent states from a study's runs, in the foreground."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from data.analyses import load
from data.errors import LabError
from data.rows import AnalysisRow
from data.store import Store
from engine.cli.bar import bar
from engine.cli.command import Command, Outcome, names, open_lab
from engine.cli.table import table
from engine.jobs.fit_request import REFITS, fit_request, read_states, stored
from engine.jobs.worker import carry_out, me, stop_on_signals


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study in the store")
    parser.add_argument("--states", metavar="K|A..B", help="numbers of states to try (default: 1..8)")
    parser.add_argument(
        "--metrics", metavar="M,N", type=names, help="what to observe (default: the 14 of the weights)"
    )
    parser.add_argument("--arms", metavar="A,B", type=names, help="only these arms")
    parser.add_argument(
        "--normalize",
        default="per-run",
        metavar="per-run|pooled|log-pooled",
        help="how metrics become comparable (default: per-run)",
    )
    parser.add_argument(
        "--covariance",
        default="diag",
        metavar="diag|full|tied",
        help="shape of a state's covariance (default: diag)",
    )
    parser.add_argument(
        "--restarts", type=int, default=10, help="starts for every number of states (default: 10)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of starts and held-out runs (default: 0)")
    parser.add_argument(
        "--topology",
        default="ergodic",
        metavar="ergodic|left-to-right",
        help="whether states left before may be entered again (default: ergodic)",
    )
    parser.add_argument(
        "--every", type=int, metavar="N", help="use every N-th row (default: at most 1,000 rows of a run)"
    )
    parser.add_argument(
        "--refits",
        type=int,
        default=REFITS,
        metavar="N",
        help=f"bootstrap samples of seeds to fit the chosen states to again, 0 for none (default: {REFITS})",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the fit to this file, as JSON")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    wanted = fit_request(
        store,
        arguments.study,
        arguments.arms,
        arguments.metrics,
        read_states(arguments.states) if arguments.states is not None else None,
        arguments.normalize,
        arguments.covariance,
        arguments.restarts,
        arguments.seed,
        arguments.topology,
        arguments.every,
        arguments.refits,
    )
    row = stored(store, wanted, store.traces.version(wanted.study))
    if row is not None:
        _write(store, row, arguments.out)
        return _outcome(row, row.job, "done", "This fit is there already.")
    with stop_on_signals() as stop, bar() as show:
        job = carry_out(store, store.catalog.create_job("fit", wanted.study, wanted.spec, me()), stop, show)
    if job.status != "done" or job.result is None:
        data = {"job": job.id, "study": job.study, "status": job.status, "analysis": None}
        return Outcome(f"Job {job.id} is {job.status}; nothing is kept of an unfinished fit.", data, 130)
    row = store.catalog.analysis(job.result["analysis"])
    _write(store, row, arguments.out)
    return _outcome(row, job.id, job.status, f"Job {job.id} is done.")


def _write(store: Store, row: AnalysisRow, out: Path | None) -> None:
    """Write a stored fit to a file as JSON, where one is asked for."""
    if out is None:
        return
    from engine.analysis.latent import to_json  # here, so that --help does not wait for scikit-learn

    try:
        out.write_text(to_json(row.summary, load(store, row)), encoding="utf-8")
    except OSError as error:
        raise LabError(
            "The fit cannot be written",
            f"`{out}`: {error.strerror}. The fit itself is kept in the store.",
            "Choose another file with --out; the fit is not repeated.",
        ) from error


def _outcome(row: AnalysisRow, job: int | None, status: str, first: str) -> Outcome:
    summary = row.summary
    rows = [
        (
            one["n_states"],
            _number(one["heldout_loglik"]),
            _number(one["heldout_se"]),
            _number(one["bic"]),
            f"{one['best_restart_hits']} of {len(one['restart_logliks'])}",
            "chosen" if one["n_states"] == summary["n_states"] else "",
        )
        for one in summary["table"]
    ]
    headings = ("states", "held-out log-likelihood", "s.e.", "BIC", "restarts at the best", "")
    lines = [first, "", table(headings, rows), "", summary["rule"]]
    if refits := summary.get("refits"):
        agreement = sum(refits["agreement"]) / refits["count"]
        lines.append(
            f"{refits['count']} refits to bootstrap samples of the seeds put {agreement:.1%} of the rows in "
            f"the same states on average."
        )
    lines += [f"Dropped {one['metric']}: {one['why']}" for one in summary["dropped"]]
    lines += [f"Caution: {warning}" for warning in summary["warnings"]]
    data = {
        "job": job,
        "study": row.study,
        "status": status,
        "analysis": row.id,
        "key": row.key,
        "summary": summary,
    }
    return Outcome("\n".join(lines), data)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}"


COMMAND = Command("fit", "Infer latent states; K is chosen by cross-validation over seeds.", _arguments, _run)
