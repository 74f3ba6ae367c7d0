"""Whose turn it is: the rule, and that many who ask at once never break it."""

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from data.catalog_jobs import STARTS, Process
from data.errors import LabError
from data.people import Person
from data.queueing import Capacity
from tests.data.conftest import Lab

ADA, BEN, EVE = (f"{name}@lab.example" for name in ("ada", "ben", "eve"))
STARTER = Process(1, 1.0, "here")


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOUR_LIMITS_RUNNING", "0")
    monkeypatch.setenv("DETOUR_LIMITS_QUEUED", "0")


def queue(lab: Lab, *people: str, device: str = "cpu", kind: str = "train") -> list[int]:
    """Let people ask for a job each, in this order."""
    return [
        lab.catalog.acting_as(Person(name, "researcher"))
        .create_job(kind, "s", {"device": device})  # type: ignore[arg-type]
        .id
        for name in people
    ]


def take(lab: Lab, jobs: int = 0, gpus: Sequence[int] = (), host: str = "here") -> int | None:
    found = lab.catalog.take_next(STARTER._replace(host=host), Capacity(jobs, tuple(gpus)))
    return None if found is None else found.id


def test_who_has_the_fewest_jobs_at_work_goes_first(lab: Lab) -> None:
    a1, a2, a3, b1, e1, b2 = queue(lab, ADA, ADA, ADA, BEN, EVE, BEN)
    told = [one.job.id for one in lab.catalog.waiting("here", Capacity(0))]
    assert told == [a1, b1, e1, a2, b2, a3]
    assert [take(lab) for _ in range(7)] == [*told, None]


def test_of_people_with_as_many_jobs_who_was_served_longest_ago_goes_first(lab: Lab) -> None:
    for person in (BEN, ADA):
        (job,) = queue(lab, person)
        assert lab.catalog.claim_job(job, 1, 1.0, "here")
        lab.catalog.finish_job(job, "done")
    a, b, e = queue(lab, ADA, BEN, EVE)
    assert [take(lab), take(lab), take(lab)] == [e, b, a]


def test_the_order_is_fair_at_every_place(lab: Lab) -> None:
    chance = random.Random(0)
    people = [chance.choice((ADA, ADA, ADA, BEN, EVE)) for _ in range(40)]
    queue(lab, *people)
    left, served = Counter(people), Counter[str]()
    for one in lab.catalog.waiting("here", Capacity(0)):
        assert served[one.job.person] == min(served[person] for person in +left)
        served[one.job.person] += 1
        left[one.job.person] -= 1
    assert served == Counter(people)


def test_a_machine_takes_no_more_than_it_has_room_for(lab: Lab) -> None:
    a, b, c = queue(lab, ADA, BEN, EVE)
    running = lab.catalog.create_job("fit", "s", {}, Process(7, 7.0, "here"))
    assert take(lab, jobs=2) == a
    assert take(lab, jobs=2) is None
    (b_told, c_told) = lab.catalog.waiting("here", Capacity(2))
    assert (b_told.job.id, c_told.job.id) == (b, c)
    assert "this machine has as many jobs at work as it may, 2" in b_told.why
    assert take(lab, jobs=1, host="there") == b
    lab.catalog.finish_job(running.id, "done")
    assert take(lab, jobs=2) == c


def test_an_import_does_not_wait_behind_trainings_nor_a_client_that_logs_take_room(lab: Lab) -> None:
    first, _ = queue(lab, ADA, ADA)
    lab.catalog.create_job("log", "s", {}, Process(7, 7.0, "here"))
    (upload,) = queue(lab, ADA, kind="import_logs")
    assert [take(lab, jobs=1) for _ in range(3)] == [first, upload, None]


def test_a_person_has_as_many_at_work_as_they_may(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOUR_LIMITS_RUNNING", "1")
    lab.catalog.set_role(BEN, "researcher")
    lab.catalog.set_limits(BEN, {"running": 2})
    a1, _, b1, b2, _ = queue(lab, ADA, ADA, BEN, BEN, BEN)
    local = [lab.catalog.create_job("train", "s", {}).id for _ in range(3)]
    taken = [take(lab, host=host) for host in ("here", "there") * 5]
    assert set(taken) == {a1, b1, b2, *local, None}
    assert {one.job.person: one.why for one in lab.catalog.waiting("here", Capacity(0))} == {
        ADA: f"{ADA} has as many jobs at work as one person may, 1",
        BEN: f"{BEN} has as many jobs at work as one person may, 2",
    }
    lab.catalog.finish_job(a1, "failed")
    assert take(lab) is not None


def test_a_gpu_is_for_one_job_and_others_pass_by(lab: Lab) -> None:
    first, second, third = queue(lab, ADA, BEN, EVE, device="auto")
    (cpu,) = queue(lab, EVE)
    gpus = (0, 3)
    assert [take(lab, gpus=gpus) for _ in range(4)] == [first, second, cpu, None]
    assert [lab.catalog.job(id).gpu for id in (first, second, cpu)] == [0, 3, None]
    (waits,) = lab.catalog.waiting("here", Capacity(0, gpus))
    assert (waits.job.id, waits.why) == (third, "every GPU of this machine is taken, 2 in all")
    assert lab.catalog.claim_job(first, 2, 2.0, "here", gpu=0)
    lab.catalog.finish_job(first, "done")
    assert lab.catalog.free_gpus("here", Capacity(0, gpus)) == [0]
    assert take(lab, gpus=gpus) == third
    assert lab.catalog.job(third).gpu == 0
    assert take(lab, gpus=(0,), host="there") is None


def test_a_foreground_job_keeps_its_gpu_from_others(lab: Lab) -> None:
    job = lab.catalog.create_job("train", "s", {"device": "cuda"}, Process(7, 7.0, "here"), gpu=1)
    with pytest.raises(LabError, match=f"Job {job.id} has GPU 1"):
        lab.catalog.create_job("train", "s", {"device": "cuda"}, Process(8, 8.0, "here"), gpu=1)
    (waits,) = queue(lab, ADA, device="cuda")
    assert take(lab, gpus=(1,)) is None
    lab.catalog.finish_job(job.id, "done")
    assert take(lab, gpus=(1,)) == waits


def test_what_began_on_a_cpu_needs_no_gpu_to_go_on(lab: Lab) -> None:
    (job,) = queue(lab, ADA, device="auto")
    lab.study("s")
    lab.catalog.start_runs(job, "s", [("A", 0, {})], 10, "cpu")
    assert take(lab, gpus=(0,)) == job
    assert lab.catalog.job(job).gpu is None


def test_many_who_ask_at_once_never_take_too_much(lab: Lab) -> None:
    queue(lab, *[ADA, BEN, EVE] * 6, device="auto")
    starters = [Process(pid, float(pid), "here") for pid in range(1, 9)]

    def ask(process: Process) -> list[int]:
        taken = (lab.catalog.take_next(process, Capacity(5, (0, 1, 2, 3))) for _ in range(3))
        return [job.id for job in taken if job is not None]

    with ThreadPoolExecutor(len(starters)) as pool:
        taken = [id for part in pool.map(ask, starters) for id in part]
    assert len(taken) == len(set(taken)) == 4
    assert sorted(lab.catalog.job(id).gpu or 0 for id in taken) == [0, 1, 2, 3]


def test_a_job_whose_starter_is_gone_waits_again_and_the_late_child_does_not_take_it(lab: Lab) -> None:
    job, other = queue(lab, ADA, BEN, device="cuda")
    assert take(lab, gpus=(0,)) == job
    assert lab.catalog.release_job(job, STARTER.pid)
    assert not lab.catalog.release_job(job, STARTER.pid)
    row = lab.catalog.job(job)
    assert (row.status, row.host, row.pid, row.gpu) == ("queued", None, None, None)
    assert not lab.catalog.claim_job(job, 2, 2.0, "here", gpu=0)  # the child of the starter that is gone
    assert take(lab, gpus=(1,)) == job
    assert not lab.catalog.claim_job(job, 2, 2.0, "here", gpu=0)
    assert lab.catalog.claim_job(job, 3, 3.0, "here", gpu=1)
    assert (lab.catalog.job(job).gpu, lab.catalog.job(job).pid) == (1, 3)
    assert not lab.catalog.release_job(job, 3)
    assert take(lab, gpus=(0, 1)) == other


def test_a_job_that_cannot_be_started_is_not_started_for_ever(lab: Lab) -> None:
    (job,) = queue(lab, ADA)
    for start in range(1, STARTS + 1):
        assert take(lab) == job
        lab.catalog.note_process(job, Process(9, 9.0, "here"))
        assert lab.catalog.release_job(job, 9) == (start < STARTS)
    assert lab.catalog.claim_job(job, 9, 9.0, "here")
    assert lab.catalog.job(job).spec == {"device": "cpu"}


def test_an_interrupted_job_goes_back_unless_a_person_stopped_it(lab: Lab) -> None:
    lab.study("s")
    job, stopped = queue(lab, ADA, ADA)
    for id in (job, stopped):
        assert lab.catalog.claim_job(id, id, 1.0, "here")
    runs = lab.catalog.start_runs(job, "s", [("A", 0, {}), ("A", 1, {})], 10, "cpu")
    lab.catalog.update_runs([{"id": runs[0], "status": "diverged"}])
    lab.catalog.heartbeat(job, 3, 20, 1.0, "going")
    lab.catalog.acting_as(Person(ADA, "researcher")).request_stop(stopped)
    assert not lab.catalog.put_back(stopped, stopped)
    assert not lab.catalog.put_back(job, job + 100)
    assert lab.catalog.put_back(job, job)
    row = lab.catalog.job(job)
    assert (row.status, row.host, row.step, row.steps) == ("queued", None, 3, 20)
    assert [run.status for run in lab.catalog.job_runs(job)] == ["diverged", "queued"]
    assert lab.catalog.job(stopped).status == "running"


def test_limits_are_the_labs_with_ones_own_over_them(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOUR_LIMITS_QUEUED", "2")
    monkeypatch.setenv("DETOUR_LIMITS_SEEDS", "10")
    lab.catalog.set_role(BEN, "researcher")
    lab.catalog.set_limits(BEN, {"queued": 3})
    queue(lab, ADA, ADA, BEN, BEN, BEN)
    for person, most in ((ADA, 2), (BEN, 3)):
        with pytest.raises(LabError, match=f"{person} has {most} jobs .* administrator"):
            queue(lab, person)
    eve = lab.catalog.acting_as(Person(EVE, "researcher"))
    spec = {"arms": ["A", "B"], "seeds": [0, 1, 2, 3, 4, 5]}
    with pytest.raises(LabError, match=r"12 runs.* may train 10 .* administrator"):
        eve.create_job("train", "s", spec)
    job = eve.create_job("train", "s", {**spec, "arms": ["A"]}).id
    lab.catalog.finish_job(job, "stopped")
    queue(lab, EVE, EVE)
    with pytest.raises(LabError, match=f"{EVE} has 2 jobs"):
        eve.requeue_job(job)
    assert lab.catalog.job(job).status == "stopped"
    assert lab.catalog.create_job("train", "s", {**spec, "seeds": list(range(5000))}).id
    limits = lab.catalog.limits_for(lab.catalog.person.name)
    assert (limits.running, limits.queued, limits.seeds, limits.hours, limits.storage_gb) == (0, 0, 0, 0, 0)
