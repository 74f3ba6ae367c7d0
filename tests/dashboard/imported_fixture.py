"""Logs of two arms as CSV files, and a store into which they were imported."""

import io
import math
import random
from collections.abc import Mapping

from data.errors import LabError
from data.importing.intake import Intake
from data.importing.roles import Corrections
from data.store import Store
from engine.jobs.import_request import KIND, spec
from engine.jobs.worker import Stop, carry_out, me

ODD = 'val/acc "x" <b>$y$</b>[0].z:q'
"""A metric whose name means something to Markdown, HTML, LaTeX, Vega and SQL."""


def logs(seeds: int = 6, points: int = 60) -> dict[str, bytes]:
    """Return a file for each seed of SS and RR; SS's last diverges to NaN in its last quarter."""
    files = {}
    for arm, rate in (("SS", 0.06), ("RR", 0.1)):
        for seed in range(seeds):
            chance = random.Random(f"{arm}{seed}")
            lines = ['step,loss,val_loss,accuracy,"' + ODD.replace('"', '""') + '",notes']
            for point in range(points):
                loss = 2.3 * math.exp(-rate * point * (1 + 0.1 * seed)) + 0.02 * (1 + chance.random())
                if seed % 2:
                    loss += 0.4 * math.exp(-(((point - points / 2) / 5) ** 2))
                beside = 1.1 * loss + 0.3 * chance.random()
                right = 1 - 0.9 * math.exp(-rate * point) + 0.02 * chance.random()
                if arm == "SS" and seed == seeds - 1 and point >= 0.75 * points:
                    loss = math.nan
                odd = right - 0.2 * chance.random()
                lines.append(f"{4 * point},{loss:.6f},{beside:.6f},{right:.5f},{odd:.5f},=1+1")
            files[f"{arm}_seed{seed}.csv"] = "\n".join(lines).encode() + b"\n"
    return files


def at_once(store: Store, kind: str, study: str, wanted: dict[str, object]) -> int:
    """Do what `queue.submit` has another process do, here and now; a failure is the job's."""
    assert kind == KIND
    job = store.catalog.create_job(KIND, study, wanted, me())
    try:
        carry_out(store, job, Stop(), None)
    except LabError:
        assert store.catalog.job(job.id).status == "failed"
    return job.id


def import_logs(store: Store, files: Mapping[str, bytes], study: str) -> None:
    """Import files as a study."""
    intake = Intake.receive(store, {name: io.BytesIO(content) for name, content in files.items()})
    at_once(store, KIND, study, spec(intake.token, study, Corrections(), True, "tests"))
