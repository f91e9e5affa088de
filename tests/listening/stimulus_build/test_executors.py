"""Engines: the same results on each, errors told as bad input, nothing started that cannot work."""

import subprocess
import time
from concurrent.futures import Executor, Future, as_completed
from pathlib import Path
from types import SimpleNamespace

import pytest

from listening.stimulus_build import executors
from listening.stimulus_build.executors import DaskExecutor, SubmititExecutor, parse_engine
from render.common.errors import InputError


def square(number):
    if number < 0:
        raise InputError(f"{number} is negative")
    return number * number


JOBS = {number: (number,) for number in range(4)}


@pytest.mark.parametrize("name", [None, "local:2", "inline"])
def test_local_engines(tmp_path, name):
    assert dict(parse_engine(name, 2, tmp_path).run(square, JOBS)) == {0: 0, 1: 1, 2: 4, 3: 9}
    with pytest.raises(InputError, match="-1 is negative"):
        dict(parse_engine(name, 2, tmp_path).run(square, JOBS | {-1: (-1,)}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cloud", "possible are local:N"),
        ("local:0", "number of processes"),
        ("local:x", "number of processes"),
        ("local:-1", "number of processes"),
        ("inline:2", "possible are"),
        ("dask", "dask:tcp://head:8786"),
    ],
)
def test_what_is_no_engine_is_refused_before_the_work(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        parse_engine(name, 1, tmp_path)


@pytest.mark.parametrize(("name", "module"), [("dask:tcp://127.0.0.1:1", "distributed"), ("slurm", "submitit")])
def test_a_missing_package_is_told_with_its_remedy(tmp_path, monkeypatch, name, module):
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"package {module} is missing; pip install 'hoa-rvqgan\["):
        parse_engine(name, 1, tmp_path)


def results(pool):
    with pool:
        futures = {pool.submit(square, number): number for number in JOBS}
        found = {futures[future]: future.result() for future in as_completed(futures)}
        with pytest.raises(InputError, match="-1 is negative"):
            pool.submit(square, -1).result()
    return found


def test_jobs_of_a_batch_system(tmp_path):
    """submitit's local executor: the same scripts and pickles as on SLURM, without its scheduler."""
    assert results(SubmititExecutor("local", tmp_path)) == {0: 0, 1: 1, 2: 4, 3: 9}


def test_jobs_of_a_dask_cluster():
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=False) as cluster:
        assert results(DaskExecutor(cluster.scheduler_address)) == {0: 0, 1: 1, 2: 4, 3: 9}


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    monkeypatch.setattr(executors, "_CONNECT_TIMEOUT", "1s")
    with pytest.raises(InputError, match="no scheduler answers"):
        DaskExecutor("tcp://127.0.0.1:1")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """An executor of jobs that are given instead of started, and are polled without a pause."""
    monkeypatch.setattr(executors, "_POLL_S", 0.001)
    pool = SubmititExecutor("local", tmp_path)
    yield pool
    pool.shutdown(wait=True, cancel_futures=True)


def job(**of_job):
    defaults = dict(job_id="7", state="RUNNING", paths=SimpleNamespace(folder=Path("log")), done=lambda: False)
    return SimpleNamespace(**{**defaults, "cancel": lambda: None, "result": lambda: 5, **of_job})


def submitted(pool, *jobs):
    given = iter(jobs)
    pool._pool = SimpleNamespace(submit=lambda *_, **__: next(given))
    return [pool.submit(square, 1) for _ in jobs]


def fails(*_, **__):
    raise subprocess.CalledProcessError(1, "sacct")


@pytest.mark.parametrize("of_job", [{"done": fails}, {"result": fails, "done": lambda: True}])
def test_a_job_that_cannot_be_polled_fails_and_the_others_go_on(slurm, of_job):
    bad, good = submitted(slurm, job(**of_job), job(done=lambda: True))
    with pytest.raises(subprocess.CalledProcessError):
        bad.result(timeout=5)
    assert good.result(timeout=5) == 5


@pytest.mark.parametrize("state", ["UNKNOWN", "RUNNING"])
def test_a_job_of_which_nothing_is_heard_is_not_waited_for_without_end(slurm, monkeypatch, state):
    """submitit goes on with the last state that it knew where sacct does not answer."""
    monkeypatch.setitem(executors._PATIENCE_S, state, 0.05)
    (future,) = submitted(slurm, job(state=state))
    with pytest.raises(InputError, match=f"job 7 is {state}.*sacct.*logs are in log"):
        future.result(timeout=5)


def test_patience_begins_anew_with_every_state(slurm, monkeypatch):
    monkeypatch.setitem(executors._PATIENCE_S, "RUNNING", 0.2)
    states = job(state="PENDING")
    (future,) = submitted(slurm, states)
    time.sleep(0.4)
    states.state = "RUNNING"
    time.sleep(0.05)
    states.done = lambda: True
    assert future.result(timeout=5) == 5


def test_a_job_that_cannot_be_submitted_is_bad_input(slurm):
    def refuses(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", "sbatch")

    slurm._pool = SimpleNamespace(submit=refuses)
    with pytest.raises(InputError, match=r"could not be submitted.*sbatch"):
        slurm.submit(square, 1)


def test_jobs_are_cancelled_even_if_one_cannot_be(tmp_path):
    cancelled = []
    pool = SubmititExecutor("local", tmp_path)
    submitted(pool, job(cancel=fails), job(cancel=lambda: cancelled.append(1)))
    pool.shutdown(wait=True, cancel_futures=True)
    assert cancelled == [1]


def test_a_killed_job_is_no_defect(slurm):
    from submitit.core.utils import UncompletedJobError

    def result():
        raise UncompletedJobError("Job 7\nhas not produced any output (state: OUT_OF_MEMORY)")

    (future,) = submitted(slurm, job(done=lambda: True, result=result))
    with pytest.raises(ChildProcessError, match="Job 7 has not produced any output"):
        future.result(timeout=5)


@pytest.mark.parametrize("killed", [True, False])
def test_a_scheduler_that_ends_or_a_worker_that_is_killed_is_told(tmp_path, monkeypatch, killed):
    from distributed.scheduler import KilledWorker

    class Pool(Executor):
        def submit(self, function, /, *args, **kwargs):
            future = Future()
            if killed:
                future.set_exception(KilledWorker("job", SimpleNamespace(address="tcp://node:1"), 3))
            else:
                future.cancel()
                future.set_running_or_notify_cancel()
            return future

    monkeypatch.setattr(executors, "_executor", lambda engine: Pool())
    with pytest.raises(ChildProcessError, match="a job was given up"):
        dict(parse_engine("dask:tcp://head:1", 1, tmp_path).run(square, JOBS))
