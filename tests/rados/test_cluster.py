"""The script that makes the cluster: what it leaves behind, and what it says where it cannot."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from clusters import CANNOT_BE_RUN, SCRIPT
from harness import run, until


def daemons(folder):
    """The processes of a cluster, by the file that each is told to read."""
    conf = f"{folder}/ceph.conf".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if conf in words and words[0].startswith(b"ceph-"):
            found[int(process.name)] = words[0].decode()
    return found


@pytest.fixture
def folder():
    """Where a cluster is to be; whatever is left of it is taken away."""
    parent = Path(tempfile.mkdtemp(prefix="quiverfs-rados-"))
    yield parent / "cluster"
    run(SCRIPT, "stop", parent / "cluster")
    shutil.rmtree(parent)


def start(folder, *words):
    done = run(SCRIPT, "start", folder, *words, status=None)
    if done.returncode == CANNOT_BE_RUN:
        pytest.skip(done.stderr.decode().strip())
    assert done.returncode == 0, done.stderr


def test_it_starts_and_stops_and_leaves_nothing(folder):
    start(folder)
    assert sorted(daemons(folder).values()) == ["ceph-mon", "ceph-osd"]
    env = {**os.environ, "CEPH_CONF": str(folder / "ceph.conf")}
    run("rados", "-p", "quiver", "put", "some", SCRIPT, env=env)
    assert run("rados", "-p", "quiver", "ls", env=env).stdout == b"some\n"
    refused = run(SCRIPT, "start", folder, status=1)
    assert refused.stderr.decode() == f"cluster: {folder} is there already\n"
    run(SCRIPT, "kill", folder, "osd.*")
    assert list(daemons(folder).values()) == ["ceph-mon"]
    assert run(SCRIPT, "kill", folder, "osd.0", status=1).stderr == b"cluster: osd.0 does not run\n"
    lost = run(SCRIPT, "revive", folder, "osd.0", status=1).stderr.decode()
    assert lost == "cluster: osd.0 was in memory, and has lost its objects\n"
    run(SCRIPT, "stop", folder)
    assert not daemons(folder)
    assert not folder.exists()


def test_it_ends_with_the_process_that_it_is_for(folder):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as owner:
        start(folder, "--while", owner.pid)
        assert daemons(folder)
        owner.kill()
    until(lambda: not folder.exists(), "the folder is still there")
    assert not daemons(folder)


def test_a_start_that_is_ended_leaves_nothing(folder):
    run(SCRIPT, "can", folder, status=None)
    with subprocess.Popen([SCRIPT, "start", folder], stderr=subprocess.PIPE) as starting:
        until(lambda: starting.poll() is not None or daemons(folder), "no daemon is started")
        if starting.poll() == CANNOT_BE_RUN:
            pytest.skip(starting.stderr.read().decode().strip())
        starting.send_signal(signal.SIGTERM)
        _, told = starting.communicate()
    assert starting.returncode == 128 + signal.SIGTERM
    assert told.decode().endswith("cluster: it did not start\n")
    assert not daemons(folder)
    assert not folder.exists()


def test_where_it_cannot_be_run_it_says_what_is_missing(folder, tmp):
    for tool in ("dirname", "basename", "realpath", "bash"):
        (tmp / tool).symlink_to(shutil.which(tool))
    done = run(SCRIPT, "can", folder, status=None, env={"PATH": str(tmp)})
    # The script looks in sbin as well, where some distributions have these.
    assert done.returncode == CANNOT_BE_RUN, done.stderr
    assert done.stderr.decode() == \
        "there is no ceph-mon here; tools/setup installs what Debian has of Ceph\n"
    assert not folder.exists()
