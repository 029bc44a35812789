"""tests/mount/run_users: as whom tests run, and that none is lost on the way."""

import os
import re
import shutil
from pathlib import Path

import pytest

from harness import run

TESTS = Path(__file__).resolve().parents[1]
PROBE = '''import os, pwd, resource
from pathlib import Path
import pytest

def test_ordinary():
    assert os.getuid() == os.geteuid() == pwd.getpwnam("nobody").pw_uid
    assert "CapEff:\\t0000000000000000" in Path("/proc/self/status").read_text()
    assert os.stat("/dev/fuse").st_mode & 0o777 == 0o666
    os.close(os.open("/dev/fuse", os.O_RDWR))
    connections = "/sys/fs/fuse/connections"
    assert os.path.ismount(connections) or not os.path.exists(connections)
    assert os.stat(os.environ["HOME"]).st_uid == os.getuid()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1024
    assert "sbin" not in os.environ["PATH"] and "XDG_RUNTIME_DIR" not in os.environ

@pytest.mark.needs_root("a reason")
def test_roots():
    assert os.geteuid() == 0
'''
ORDINARY, ROOTS = "test_probe::test_ordinary", "test_probe::test_roots"


@pytest.fixture
def probe(tmp):
    """Sources that nobody can reach, as those in root's home, and a test."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    source = tmp / "home/source"
    (source / "tests/mount").mkdir(parents=True)
    (tmp / "home").chmod(0o700)
    shutil.copy(TESTS / "run_pytest", source / "tests")
    for path in TESTS.glob("mount/*"):
        if path.suffix == ".py" and not path.stem.startswith("test_") or path.name == "run_users":
            shutil.copy(path, source / "tests/mount")
    (source / "tests/mount/test_probe.py").write_text(PROBE)

    def runs(who):
        done = run(source / "tests/mount/run_users", who, source / "tests/mount/test_probe.py",
                   env={**os.environ, "QUIVERFS_SOURCE": str(source), "QUIVERFS": "/bin/true",
                        "XDG_RUNTIME_DIR": "/run"})
        lines = done.stdout.decode().splitlines()
        found = re.findall(r"^((?:not )?ok) (\d+) - (?:(user|root): )?(.*)", "\n".join(lines), re.M)
        assert [number for _, number, _, _ in found] == [str(1 + i) for i in range(len(found))]
        assert lines[-1] == f"1..{len(found)}"
        return [(result, as_whom, name) for result, _, as_whom, name in found]

    runs.source = source
    return runs


@pytest.mark.needs_root("acts as several users")
def test_each_test_runs_as_who_it_is_for(probe):
    assert probe("user") == [("ok", "user", ORDINARY)]
    assert probe("each") == [("ok", "user", ORDINARY), ("ok", "root", ROOTS)]
    assert probe("both") == [("ok", "user", ORDINARY), ("not ok", "root", ORDINARY),
                             ("ok", "root", ROOTS)]
    assert probe("root") == [("not ok", "", ORDINARY), ("ok", "", ROOTS)]


@pytest.mark.needs_root("acts as several users")
def test_sources_that_only_root_reads_are_tested_by_root(probe):
    """And a skipped test says so."""
    (probe.source / "tests/run_pytest").chmod(0o700)
    skipped, *others = probe("each")
    assert skipped[2].startswith("as an ordinary user # SKIP")
    assert others == [("not ok", "root", ORDINARY), ("ok", "root", ROOTS)]


def test_who_is_not_root_runs_all_as_himself(tmp):
    if os.geteuid() == 0:
        pytest.skip("root runs it")
    (tmp / "test_a.py").write_text("import os\n\ndef test_a():\n    assert os.geteuid() != 0\n")
    done = run(TESTS / "mount/run_users", "each", tmp / "test_a.py")
    assert done.stdout.decode().splitlines()[-2:] == ["ok 1 - test_a::test_a", "1..1"]
