"""A cluster that stands still in part or as a whole, by a real one of three OSDs: what waits, what
is given up, and that nothing acknowledged is lost, torn or old."""

import errno
import os
import signal
import subprocess
import threading
import time

import pytest

import harness
from harness import is_mounted, until
from load import content, error_of, finish, load_of, version_of, write

WHOLE_CLUSTER = True
SHORT_TIMEOUT = "op_timeout=3"
# What somebody else waits for comes, however busy the machine is.
LONG_TIMEOUT = "op_timeout=3600"
ROUNDS = 8 if harness.LONG else 3
OUTAGE_SECONDS = 10
LATE_SECONDS = 1  # in which what is late has come


def up(cluster):
    return cluster.ceph("osd", "stat")["num_up_osds"]


# ---- what is waited for ------------------------------------------------------


def test_an_osd_that_is_killed_is_waited_for(healed, pair):
    here, there = pair(LONG_TIMEOUT)
    load = load_of(here, there)
    for number in range(3 if harness.LONG else 1):
        healed.kill(f"osd.{number}")
        until(lambda: up(healed) == 2, "it counts as up")
        load.progress()
        healed.revive(f"osd.{number}")
        healed.clean()
    load.stop()


def test_all_osds_are_killed_and_started_again(healed, pair):
    here, there = pair(LONG_TIMEOUT)
    load = load_of(here, there)
    for _ in range(2):
        healed.kill("osd.*")
        time.sleep(OUTAGE_SECONDS / 2)
        healed.revive("osd.*")
        healed.clean()
        load.progress()
    load.stop()


def test_a_network_that_is_cut_is_waited_for(hosts, healed, pair):
    here, there = pair(LONG_TIMEOUT, hosts=hosts)
    load = load_of(here, there)
    for host in hosts:
        host.cut_off()
        time.sleep(OUTAGE_SECONDS)
        host.connect()
        load.progress()
    load.stop()


def test_a_monitor_that_is_frozen_is_not_needed(healed, pair):
    here, there = pair(LONG_TIMEOUT)
    load = load_of(here, there)
    healed.freeze("mon.a")
    load.progress()
    time.sleep(OUTAGE_SECONDS)
    load.progress()
    healed.thaw("mon.a")
    load.stop()


# ---- what is given up --------------------------------------------------------


def test_frozen_osds_are_waited_for_until_the_timeout(healed, pair):
    here, there = pair(SHORT_TIMEOUT)
    load = load_of(here, there)
    for _ in range(ROUNDS):
        load.errors.clear()
        healed.freeze("osd.*")
        load.wait_for("write_some", errno.ETIMEDOUT)
        load.wait_for("read_some", errno.ETIMEDOUT)
        healed.thaw("osd.*")
        load.progress()
    for mount in (here, there):
        assert any("no answer from the cluster within 3 s" in line for line in mount.errors()), \
            mount.errors()
        mount.forget_errors()
    load.stop(expect=[errno.ETIMEDOUT])
    for mount in (here, there):
        mount.forget_errors()


def test_a_write_that_timed_out_never_overwrites_a_newer_one(healed, stores):
    store = stores.create(dim=768)
    here = stores.mount(store, name="here", options=[SHORT_TIMEOUT])
    there = stores.mount(store, name="there", options=[LONG_TIMEOUT])
    for _ in range(ROUNDS):
        here.put(3, content(1, here.size))
        fd = os.open(here.path(3), os.O_WRONLY)
        os.write(fd, content(2, here.size)[:-8])
        healed.freeze("osd.*")
        assert finish(fd, content(2, here.size)) == errno.ETIMEDOUT
        newer = threading.Thread(target=write, args=(there.path(3), content(3, here.size)))
        newer.start()
        time.sleep(LATE_SECONDS / 4)
        healed.thaw("osd.*")
        newer.join()
        time.sleep(LATE_SECONDS)
        assert [version_of(mount.get(3), here.size) for mount in (there, here)] == [3, 3]
        here.forget_errors()


def test_a_vector_whose_making_timed_out_does_not_come_back(healed, stores):
    store = stores.create(dim=768)
    here = stores.mount(store, name="here", options=[SHORT_TIMEOUT])
    there = stores.mount(store, name="there", options=[LONG_TIMEOUT])

    def make_and_remove(vector):
        write(there.path(vector), content(3, here.size))
        os.unlink(there.path(vector))

    for vector in range(ROUNDS):
        fd = os.open(here.path(vector), os.O_WRONLY | os.O_CREAT)
        os.write(fd, content(2, here.size)[:-8])
        healed.freeze("osd.*")
        assert finish(fd, content(2, here.size)) == errno.ETIMEDOUT
        newer = threading.Thread(target=make_and_remove, args=(vector,))
        newer.start()
        time.sleep(LATE_SECONDS / 4)
        healed.thaw("osd.*")
        newer.join()
        time.sleep(LATE_SECONDS)
        assert not there.has(vector) and not here.has(vector)
        here.forget_errors()


# ---- signals while the cluster hangs -----------------------------------------------


def started(mount, plain):
    """Programs that a hung cluster keeps waiting, and the signal that each is to get."""
    source = plain / "vector"
    source.write_bytes(content(2, mount.size))
    programs = [
        (["cat", mount.path(1)], signal.SIGINT),
        (["cp", source, mount.path(1)], signal.SIGINT),
        (["cp", source, mount.path(123456)], signal.SIGTERM),
        (["dd", f"if={mount.path(1)}", f"of={plain / 'out'}"], signal.SIGKILL),
        (["rm", mount.path(1)], signal.SIGINT),
        (["touch", mount.path(1)], signal.SIGINT),
        (["ls", "-l", mount.vectors], signal.SIGINT),
        (["df", mount.vectors], signal.SIGKILL),
    ]
    return [(subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), number)
            for words, number in programs]


def end_all(running):
    """None has ended by itself; each ends by its signal, which is no timeout of the mount's."""
    time.sleep(1)
    assert [process.poll() for process, _ in running] == [None] * len(running), \
        [(process.args, process.poll()) for process, _ in running]
    for process, number in running:
        process.send_signal(number)
    for process, number in running:
        until(lambda: process.poll() is not None, f"{process.args} does not end")
        assert process.returncode == -number, process.args


def hung(stores, healed, **options):
    """A mount whose cluster does not answer, and will not for an hour."""
    mount = stores.mount(stores.create(dim=768), options=[LONG_TIMEOUT], **options)
    mount.put(1, content(1, mount.size))
    healed.freeze("osd.*")
    return mount


def test_whoever_waits_for_a_hung_cluster_can_be_interrupted(healed, stores, plain):
    mount = hung(stores, healed, transport=None)
    end_all(started(mount, plain))
    healed.thaw("osd.*")
    # What had been sent may have happened.
    until(lambda: error_of(mount.put, 2, content(2, mount.size)) == 0, "it does not go on")
    if mount.has(1):
        assert version_of(mount.get(1), mount.size) in (1, 2)
    mount.forget_errors()


def test_a_mount_of_a_hung_cluster_can_be_taken_away(healed, stores, plain):
    mount = hung(stores, healed, transport=None)
    running = started(mount, plain)
    time.sleep(1)
    lazily = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
    with subprocess.Popen([*lazily, mount.point]) as unmounting:
        until(lambda: unmounting.poll() is not None, "a lazy unmount hangs")
    for process, _ in running:
        process.kill()
    for process, _ in running:
        until(lambda: process.poll() is not None, f"{process.args} does not end")
    until(lambda: mount.daemon.poll() is not None, "the daemon does not end")
    assert mount.ended() == []


@pytest.mark.parametrize("transport", ["io_uring", "dev_fuse"], indirect=True)
def test_the_daemon_of_a_hung_cluster_ends_by_sigterm(healed, stores, plain, transport):
    mount = hung(stores, healed)
    running = started(mount, plain)
    time.sleep(1)
    os.kill(mount.pid, signal.SIGTERM)
    until(lambda: mount.daemon.poll() is not None, "the daemon does not end")
    for process, _ in running:
        until(lambda: process.poll() is not None, f"{process.args} does not end")
        assert process.returncode > 0, process.args
    assert mount.ended() == []
    assert not is_mounted(mount.point)
