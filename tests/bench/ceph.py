"""A throwaway Ceph cluster to measure on, what its daemons have used up, and mounts on it."""

import json
import os
import socket
import struct
import subprocess
import time

import host
from host import BenchError
from places import Daemon

POOL = "quiver"
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../rados/cluster")
CLIENT = "client.admin"
# OSDs go on working after the last answer: what was deferred belongs to what deferred it.
SETTLE_SECONDS = 3
SETTLE_STEP_SECONDS = 0.25
IDLE_SHARE = 0.05  # of one core, over all OSDs
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
ANSWER_SECONDS = 30
SCRIPT_SECONDS = 300  # it is up after 20, on a busy machine after 60


class Cluster:
    """Three OSDs on bluestore that keep each object three times, a manager, a metadata server."""

    def __init__(self, bench):
        self.folder = os.path.join(bench.work, "cluster")
        self.script("start", "--whole", "--cephfs", "--while", os.getpid())
        bench.cleanup.callback(self.script, "stop")
        os.environ["CEPH_CONF"] = os.path.join(self.folder, "ceph.conf")
        self.osds = sorted(name[:-4] for name in os.listdir(self.run_folder)
                           if name.startswith("osd.") and name.endswith(".pid"))

    @property
    def run_folder(self):
        return os.path.join(self.folder, "run")

    def script(self, command, *words):
        host.run([SCRIPT, command, self.folder, *words], SCRIPT_SECONDS)

    def pid(self, daemon):
        return int(host.read_text(os.path.join(self.run_folder, daemon + ".pid")))

    def ask(self, daemon, command):
        """What a daemon answers on its admin socket."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(ANSWER_SECONDS)
            asked.connect(os.path.join(self.run_folder, daemon + ".asok"))
            asked.sendall(json.dumps({"prefix": command}).encode() + b"\0")
            length, = struct.unpack(">I", exactly(asked, 4))
            return json.loads(exactly(asked, length) or b"null")

    def over_osds(self, read):
        return sum(read(daemon) for daemon in self.osds)

    def osd_seconds(self):
        return self.over_osds(lambda osd: cpu_seconds(self.pid(osd)))

    def used(self):
        """What OSDs and the metadata server have used up since they run."""
        counters = [self.ask(osd, "perf dump")["osd"] for osd in self.osds]
        return {
            "osd_seconds": self.osd_seconds(),
            "disk_bytes": self.over_osds(lambda osd: written_bytes(self.pid(osd))),
            "reads": sum(one["op_r"] for one in counters),
            "writes": sum(one["op_w"] + one["op_rw"] for one in counters),
            "metadata_seconds": cpu_seconds(self.pid("mds.a")),
            "metadata_requests": self.ask("mds.a", "perf dump")["mds"]["request"],
        }

    def settle(self):
        """Wait until the OSDs have nothing to do, but not for ever: the machine is others', too."""
        for _ in range(int(SETTLE_SECONDS / SETTLE_STEP_SECONDS)):
            before = self.osd_seconds()
            time.sleep(SETTLE_STEP_SECONDS)
            if self.osd_seconds() - before < IDLE_SHARE * SETTLE_STEP_SECONDS + TICK_SECONDS:
                break

    def cost_of(self, work):
        """Run `work`, which says how many operations it was in how many ns: the same, and what
        each cost the cluster."""
        # What the metadata server puts off is nobody's here, or it would be somebody else's.
        self.ask("mds.a", "flush journal")
        self.settle()
        before = self.used()
        said = work()
        self.settle()
        after = self.used()
        return {**said, **{name: (after[name] - before[name]) / said["ops"] for name in after}}


def exactly(connection, length):
    """The next `length` bytes of a socket."""
    found = b""
    while len(found) < length:
        more = connection.recv(min(length - len(found), 1 << 20))
        if not more:
            raise BenchError("a daemon of Ceph's ends its answer early")
        found += more
    return found


def connections(pid):
    """Sockets that a daemon has open."""
    return sum(is_socket(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))


def is_socket(path):
    try:
        return os.readlink(path).startswith("socket:")
    except FileNotFoundError:  # closed meanwhile
        return False


def cpu_seconds(pid):
    fields = host.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


def written_bytes(pid):
    return fields_of(f"/proc/{pid}/io")["write_bytes"]


def fields_of(path):
    """The numbers of a file of /proc that has one name a line."""
    found = {}
    for line in host.read_text(path).splitlines():
        name, _, value = line.partition(":")
        value = value.split()
        if value and value[0].isdigit():
            found[name] = int(value[0])
    return found


def memory_bytes(pid, field="VmRSS"):
    return fields_of(f"/proc/{pid}/status")[field] << 10


class OurMount(Daemon):
    """A collection, mounted by a daemon of its own."""

    def __init__(self, bench, collection):
        super().__init__(bench.work, [str(bench.quiverfs), "mount", "-f",
                                      f"rados:{POOL}/{collection}"], bench.log)
        self.folder = os.path.join(self.point, "vectors")


class TheirMount(Daemon):
    """A folder of the CephFS, mounted by ceph-fuse."""

    def __init__(self, bench, folder=""):
        super().__init__(bench.work, ["ceph-fuse", "-f", "-n", CLIENT, "--client_mountpoint=/"],
                         bench.log)
        self.folder = os.path.join(self.point, folder)


def rados_bench(count, size, depth=16):
    """Writes `count` objects of `size` bytes as fast as RADOS takes them; ns."""
    said = host.run(["rados", "-p", POOL, "bench", host.RUN_SECONDS_MAX, "write", "-b", size,
                     "-t", depth, "--max-objects", count, "--no-cleanup", "--run-name", "bench",
                     "-f", "json"], stdin=subprocess.DEVNULL)
    said = said[said.index(b"{"):]  # a line of its hints is before it
    return int(float(json.loads(said)["total_time_run"]) * 1e9)


def rados_bench_cleanup():
    host.run(["rados", "-p", POOL, "cleanup", "--run-name", "bench"])
