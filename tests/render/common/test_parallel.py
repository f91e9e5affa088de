"""Jobs on several processes: results, errors, and that no worker outlives its parent."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from render.common.errors import InputError
from render.common.files import read_json
from render.common.parallel import in_parallel

ROOT = Path(__file__).parents[3]


def test_every_job_gives_its_result_under_its_key():
    jobs = {number: (number, 3) for number in range(20)}
    assert dict(in_parallel(pow, jobs, workers=2)) == {number: number**3 for number in range(20)}
    assert dict(in_parallel(pow, {}, workers=2)) == {}


def test_workers_are_other_processes():
    pids = dict(in_parallel(os.getpid, {1: (), 2: ()}, workers=2))
    assert os.getpid() not in pids.values()


def test_an_error_of_a_worker_arrives_as_it_is(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"x\.json:1:2: not JSON"):
        list(in_parallel(read_json, {"a": (path,)}, workers=2))
    with pytest.raises(FileNotFoundError) as caught:
        list(in_parallel(os.stat, {"a": (tmp_path / "no",)}, workers=1))
    assert caught.value.filename == str(tmp_path / "no") or caught.value.filename == tmp_path / "no"


def test_the_first_error_stops_what_has_not_begun(tmp_path):
    jobs = {"bad": (f"raise ValueError('{tmp_path}')",)}
    jobs |= {n: (f"open(r'{tmp_path}/{n}', 'x').close(); import time; time.sleep(0.05)",) for n in range(40)}
    with pytest.raises(ValueError, match=str(tmp_path)):
        list(in_parallel(exec, jobs, workers=1))
    assert len(list(tmp_path.iterdir())) < 40


def test_a_killed_worker_is_one_clear_error():
    jobs = {"a": (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})",)}
    with pytest.raises(ChildProcessError, match="fewer --workers"):
        list(in_parallel(exec, jobs, workers=1))


def test_workers_end_with_a_killed_parent(tmp_path):
    pid_file = tmp_path / "pid"
    # Written under another name first: what is found is complete
    job = (
        f"import os, time; open(r'{pid_file}.new', 'w').write(str(os.getpid())); "
        f"os.rename(r'{pid_file}.new', r'{pid_file}'); time.sleep(600)"
    )
    script = (
        f"from render.common.parallel import in_parallel; list(in_parallel(exec, {{1: ({json.dumps(job)},)}}, 1))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        worker = int(_eventually(lambda: pid_file.is_file() and pid_file.read_text()))
    finally:
        parent.kill()
        parent.wait()
    assert _eventually(lambda: not _alive(worker))


def test_one_server_has_imported_what_the_caller_has_whatever_the_first_job_was():
    script = (
        "import os, render.hoa.layout; from render.common.parallel import in_parallel; "
        "list(in_parallel(os.getpid, {1: ()}, 1)); "
        "list(in_parallel(exec, {1: ('import sys; assert \"render.hoa.layout\" in sys.modules',)}, 1))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _eventually(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    return None


def _alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_container_without_shared_memory_is_told_what_helps(monkeypatch, number):
    def no_semaphore(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", no_semaphore)
    with pytest.raises(InputError, match=rf"folder /dev/shm.*{os.strerror(number)}.*--tmpfs /dev/shm"):
        dict(in_parallel(abs, {1: (1,)}, 1))
