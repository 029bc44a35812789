"""The commands of quiverfs-rados(7), from nothing to two mounts, and the recipe of quiverfs-recipes(7)
that moves a store there and back, run as they are written."""

import os
import re
import shutil
from pathlib import Path

import pytest

from harness import QUIVERFS, run
from man_pages import unescape
from python_package import draw, numpy
from recipes import DIM, Place, as_bytes

PAGE = Path(__file__).resolve().parents[2] / "tools/man/quiverfs-rados.7"
# Folders that the commands write to; each is another one here.
FOLDERS = ("/etc/ceph", "/srv", "/mnt")
ALONE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def commands():
    """What is to be typed, but for what installs packages."""
    part = PAGE.read_text().split(".Sh A CLUSTER FROM NOTHING\n")[1].split("\n.Sh ")[0]
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", part, flags=re.MULTILINE | re.DOTALL)
    lines = [unescape(line).removeprefix("\\&") for block in blocks for line in block.splitlines()]
    assert len(blocks) == 3 and lines[0].startswith("apt-get install ceph-mon")
    return lines[1:]


@pytest.mark.needs_root("makes a cluster and mounts in namespaces")
def test_a_cluster_from_nothing(tmp):
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for tool in ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "ip", "unshare"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    for folder in FOLDERS:
        if not os.path.isdir(folder):
            pytest.skip(f"there is no folder {folder}")
    script = tmp / "commands"
    script.write_text("\n".join([
        "set -e", *(f"mount -t tmpfs none {folder}" for folder in FOLDERS), "ip link set lo up",
        *commands()]) + "\n")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("CEPH_")}
    environment["PATH"] = os.path.dirname(os.path.abspath(QUIVERFS)) + ":" + environment["PATH"]
    done = run(*ALONE, "bash", script, env=environment)
    shown = done.stdout.decode()
    assert "rados:vectors/docs: in Ceph" in shown and "1, dim 768" in shown


def test_move_to_a_cluster_and_back(tmp, cluster, rng):
    place, recipe = Place(tmp), "Move to a cluster of Ceph"
    cluster.ceph("osd", "pool", "create", "vectors", 8)
    cluster.ceph("osd", "pool", "application", "enable", "vectors", "quiverfs")
    rows = draw(rng, 100, DIM, "f4")
    numpy.save(tmp / "rows.npy", rows)
    try:
        place.do(f"quiverfs create STORE --dim {DIM} --metric cosine; quiverfs import STORE rows.npy;"
                 "mkdir MNT; quiverfs mount STORE MNT; rm MNT/vectors/5; chmod 600 MNT/vectors/7;"
                 "echo 'of a test' >MNT/control/label;"
                 "touch -d '40 days ago' MNT/vectors/7")
        expected = as_bytes(rows)
        del expected[5]
        before = os.stat(tmp / "MNT/vectors/7")
        assert "99, dim 128, dtype f4, metric cosine" in place.type(recipe, 0)
        place.do("mkdir OLD; quiverfs mount rados:vectors/docs OLD;"
                 "cat MNT/control/label >OLD/control/label; quiverfs umount OLD")
        assert "of a test" in place.do("quiverfs status rados:vectors/docs").stdout
        place.type(recipe, 1)
        place.do("quiverfs umount MNT; quiverfs mount BACK MNT")
        assert (tmp / "MNT/control/metric").read_text() == "cosine\n"
        assert place.vectors() == expected
        after = os.stat(tmp / "MNT/vectors/7")
        assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    finally:
        place.close()
