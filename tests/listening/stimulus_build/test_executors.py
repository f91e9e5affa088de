"""Engines: the same results on each, errors told as bad input, nothing started that cannot work."""

import importlib.util
from concurrent.futures import as_completed

import pytest

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


def needs(module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")


@pytest.mark.parametrize(("name", "module"), [("dask:tcp://127.0.0.1:1", "distributed"), ("slurm", "submitit")])
def test_a_missing_package_is_told_with_its_remedy(tmp_path, name, module):
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed")
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
    needs("submitit")
    assert results(SubmititExecutor("local", tmp_path)) == {0: 0, 1: 1, 2: 4, 3: 9}


def test_jobs_of_a_dask_cluster():
    needs("distributed")
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=False) as cluster:
        assert results(DaskExecutor(cluster.scheduler_address)) == {0: 0, 1: 1, 2: 4, 3: 9}


def test_a_scheduler_that_does_not_answer_is_told():
    needs("distributed")
    with pytest.raises(InputError, match="no scheduler answers"):
        DaskExecutor("tcp://127.0.0.1:1")
