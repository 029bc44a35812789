"""A throwaway Ceph cluster for tests (the script `cluster` beside this), and collections in it."""

import itertools
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from harness import HANG_SECONDS, ITEM_BYTES, Mount, Stores, quiverfs, run

SCRIPT = Path(__file__).resolve().with_name("cluster")
POOL = "quiver"
CANNOT_BE_RUN = 77
MODULES = "QUIVER_MODULES"
numbers = itertools.count(1)


class Cluster:
    """Runs as long as this process at most. `whole`: three OSDs, and a manager."""

    def __init__(self, whole=False, address="127.0.0.1"):
        self.parent = Path(tempfile.mkdtemp(prefix="quiverfs-rados-"))
        self.parent.chmod(0o755)
        self.folder = self.parent / "cluster"
        self.conf = self.folder / "ceph.conf"
        options = ["--whole"] if whole else []
        try:
            done = self.script("start", *options, "--address", address, "--while", os.getpid(),
                               status=None)
            if done.returncode == CANNOT_BE_RUN:
                pytest.skip(done.stderr.decode().strip())
            assert done.returncode == 0, done.stderr.decode()
        except BaseException:
            shutil.rmtree(self.parent, ignore_errors=True)
            raise
        # What is started from here finds it.
        os.environ["CEPH_CONF"] = str(self.conf)
        self.show_module()

    def show_module(self):
        """Who is not root may have no way into the build folder, as where that is in a home: a
        program is started there before root's rights are gone, its module is loaded after."""
        self.built = os.environ.get(MODULES)
        module = Path(self.built or "") / "quiverfs_rados.so"
        if module.exists():
            folder = self.parent / "modules"
            folder.mkdir(exist_ok=True)
            shutil.copy(module, folder)
            os.environ[MODULES] = str(folder)

    def script(self, command, *words, status=0):
        return run(SCRIPT, command, self.folder, *words, status=status)

    def stop(self):
        self.script("stop")
        os.environ.pop("CEPH_CONF")
        if self.built is not None:
            os.environ[MODULES] = self.built
        shutil.rmtree(self.parent / "modules", ignore_errors=True)
        self.parent.rmdir()

    def ceph(self, *words, status=0):
        """What the command says; JSON as what it means."""
        done = run("ceph", "--connect-timeout", 30, *words, "-f", "json", status=status)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def rados(self, *words, pool=POOL, status=0, **options):
        return run("rados", "-p", pool, *words, status=status, **options).stdout

    def kill(self, *daemons):
        self.script("kill", *daemons)

    def freeze(self, *daemons):
        self.script("freeze", *daemons)

    def thaw(self, *daemons):
        self.script("thaw", *daemons)

    def revive(self, *daemons):
        self.script("revive", *daemons)

    def clean(self):
        self.script("clean", HANG_SECONDS)

    def full(self, on):
        self.script("full", "on" if on else "off")

    def user(self, name, mon="allow r", osd=f"allow rw pool={POOL}", owner=None):
        """Options that mount as client.NAME, whose keyring `owner` (a number) alone can read."""
        keyring = self.script("user", name, mon, osd).stdout.decode().strip()
        if owner is not None:
            os.chown(keyring, owner, -1)
        return [f"id={name}", f"keyring={keyring}"]

    def addresses(self, collection):
        """Of who has that collection mounted: those that watch its header."""
        text = self.rados("listwatchers", f"{collection.name}.header", pool=collection.pool)
        return re.findall(r"watcher=(\S+)", text.decode())

    def fence(self, address):
        self.ceph("osd", "blocklist", "add", address)


class Collection:
    """A collection, as tests of the mount know a store; files of the test's are in `folder`."""

    def __init__(self, folder, dim=25, dtype="f4", name="c", pool=POOL, options=()):
        self.folder = folder
        self.pool = pool
        self.name = f"{name}{next(numbers)}"
        self.path = f"rados:{pool}/{self.name}"
        self.dim = dim
        self.dtype = dtype
        self.size = int(dim * ITEM_BYTES[dtype])
        quiverfs("create", self.path, "--dim", dim, "--dtype", dtype, *options)

    def check(self):
        done = quiverfs("check", self.path, status=None)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "no faults" in done.stdout, done.stdout


class Collections(Stores):
    """All collections and mounts of one test, taken down when it ends."""

    def __init__(self, folder, transport, cluster):
        super().__init__(folder, transport)
        self.cluster = cluster

    def create(self, dim=25, dtype="f4", **options):
        return Collection(self.folder, dim, dtype, **options)

    def mount(self, store=None, host=None, before=(), **options):
        """`host`: where the daemon runs, of hosts.py."""
        options.setdefault("transport", self.transport)
        options.setdefault("name", f"mnt{len(self.mounts)}")
        mounted = Mount(store or self.create(), before=[*(host.words if host else ()), *before],
                        **options)
        self.mounts.append(mounted)
        return mounted
