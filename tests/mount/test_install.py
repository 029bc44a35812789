"""What `meson install` puts where, and programs built against it."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import QUIVERFS, Mount, Store, quiverfs, run

BUILD = Path(os.environ.get("QUIVERFS_BUILD") or Path(QUIVERFS).resolve().parents[1])
SOURCE = Path(__file__).resolve().parents[2]
LINKS = ["mkfs.quiverfs", "mount.quiverfs", "mount.fuse.quiverfs", "fsck.quiverfs"]


def build_options():
    text = run("meson", "introspect", "--buildoptions", BUILD).stdout
    return {option["name"]: option["value"] for option in json.loads(text)}


class Installed:
    """A folder into which everything was installed, as if it were /."""

    def __init__(self, folder):
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--skip-subprojects",
            "--destdir", folder)
        options = build_options()
        self.root = folder
        self.prefix = Path(str(folder) + options["prefix"])
        self.lib = self.prefix / options["libdir"]
        self.bin = self.prefix / options["bindir"]
        self.sbin = self.prefix / options["sbindir"]
        self.man = self.prefix / options["mandir"]
        self.data = self.prefix / options["datadir"]

    def pkg_config(self, *words):
        done = run("pkg-config", f"--define-variable=prefix={self.prefix}", *words, "libquiver",
                   env={**os.environ, "PKG_CONFIG_PATH": str(self.lib / "pkgconfig")})
        return done.stdout.decode().split()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    for tool in ("meson", "pkg-config", "cc", "nm", "readelf"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    return Installed(tmp_path_factory.mktemp("installed"))


def header_names():
    """The functions of quiver.h."""
    text = re.sub(r"/\*.*?\*/", "", (SOURCE / "engine/quiver.h").read_text(), flags=re.DOTALL)
    return set(re.findall(r"\b(quiver_\w+)\(", text))


def test_the_program_and_its_links(installed, tmp_path):
    program = installed.bin / "quiverfs"
    for name in LINKS:
        assert (installed.sbin / name).resolve() == program.resolve()
    run(program, "create", tmp_path / "store", "--dim", 3)
    run(installed.sbin / "fsck.quiverfs", tmp_path / "store")
    done = run(installed.sbin / "mount.quiverfs", status=1)
    assert done.stderr.startswith(b"mount.quiverfs:")


def test_the_man_pages_and_completions(installed):
    for page in (SOURCE / "tools/man").iterdir():
        copy = installed.man / f"man{page.suffix[1:]}" / page.name
        assert copy.read_bytes() == page.read_bytes()
    for name in LINKS:
        assert (installed.man / "man8" / f"{name}.8").is_file()
    # each where its shell looks for the completion of a command of that name
    bash = installed.data / "bash-completion/completions"
    fish = installed.data / "fish/vendor_completions.d"
    zsh = installed.data / "zsh/site-functions/_quiverfs"
    names = ["quiverfs"] + [name for name in LINKS if "fuse" not in name]
    assert sorted(path.name for path in bash.iterdir()) == sorted(names)
    assert sorted(path.stem for path in fish.iterdir()) == sorted(names)
    for name in names:
        for path in (bash / name, fish / f"{name}.fish", zsh):
            assert re.search(rf"\b{re.escape(name)}\b", path.read_text())


def test_the_python_package(installed, tmp_path):
    """Where the Python of the system looks, as other programs find it."""
    listed = [path for path in installed.root.rglob("quiverfs/py.typed")]
    assert len(listed) == 1
    folder = listed[0].parent
    sources = SOURCE / "tools/python/quiverfs"
    assert {path.name for path in folder.iterdir()} == {
        path.name for path in sources.iterdir() if path.suffix in (".py", ".typed")}
    done = run("/usr/bin/python3", "-c", "import quiverfs, importlib.metadata as m, sys\n"
               "print(quiverfs.__file__, m.version('quiverfs') == quiverfs.__version__)",
               cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(folder.parent),
                                  "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.stdout.decode() == f"{folder}/__init__.py True\n"
    looked = run("/usr/bin/python3", "-c", "import sys; print(*sys.path, sep='\\n')").stdout.decode()
    if installed.prefix in (installed.root / "usr", installed.root / "usr/local"):
        assert str(folder.parent).removeprefix(str(installed.root)) in looked.splitlines()


def test_the_dashboard(installed):
    copy = installed.data / "quiverfs/grafana/quiverfs.json"
    assert copy.read_bytes() == (SOURCE / "tools/grafana/quiverfs.json").read_bytes()


def test_a_program_that_was_built_before_finds_what_it_calls():
    """What the Debian package has told of the library stays, or the number behind .so is another."""
    text = (SOURCE / "tools/debian/libquiver2.symbols").read_text()
    soversion = re.search(r"soversion: '(\d+)'", (SOURCE / "engine/meson.build").read_text())[1]
    assert text.startswith(f"libquiver.so.{soversion} libquiver{soversion} ")
    promised = set(re.findall(r"^ (quiver_\w+)@", text, flags=re.MULTILINE))
    assert len(promised) > 40 and promised <= header_names()


def test_the_library_shows_what_the_header_does(installed):
    shared = installed.lib / "libquiver.so"
    dynamic = run("readelf", "-d", shared).stdout.decode()
    soname = re.search(r"SONAME.*\[(.*)\]", dynamic)[1]
    assert re.fullmatch(r"libquiver\.so\.\d+", soname)
    assert (installed.lib / soname).resolve() == shared.resolve()
    names = header_names()
    assert len(names) > 40 and "quiver_open" in names
    for words in ((["-D", shared]), ([installed.lib / "libquiver.a"])):
        shown = run("nm", "--defined-only", "-g", "-f", "posix", *words).stdout.decode()
        found = {line.split()[0].split("@")[0] for line in shown.splitlines()
                 if len(line.split()) > 1 and line.split()[1] != "A"}
        assert found == names


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_a_program_built_against_it(installed, tmp_path, kind):
    words = ["cc", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "example",
             SOURCE / "tests/mount/example.c", *installed.pkg_config("--cflags")]
    if kind == "static":
        (tmp_path / "lib").mkdir()
        shutil.copy(installed.lib / "libquiver.a", tmp_path / "lib")
        words += ["-L", tmp_path / "lib", *installed.pkg_config("--libs", "--static")]
    else:
        words += installed.pkg_config("--libs")
    run(*words)
    needed = run("readelf", "-d", tmp_path / "example").stdout
    assert (b"libquiver.so" in needed) == (kind == "shared")
    done = run(tmp_path / "example", tmp_path / "store",
               env={**os.environ, "LD_LIBRARY_PATH": str(installed.lib)})
    assert done.stdout == b"0 4 7\n"
    assert json.loads(quiverfs("status", tmp_path / "store", "--json").stdout)["count"] == 4
    quiverfs("check", tmp_path / "store")


def test_the_header_is_cplusplus_too(installed, tmp_path):
    if not shutil.which("c++"):
        pytest.skip("there is no C++ compiler")
    (tmp_path / "use.cc").write_text("#include <quiver.h>\n"
                                     "int main() { return quiver_dtype_bytes(QUIVER_F4) != 4; }\n")
    run("c++", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "use", tmp_path / "use.cc",
        *installed.pkg_config("--cflags", "--libs"))
    subprocess.run([tmp_path / "use"], check=True,
                   env={**os.environ, "LD_LIBRARY_PATH": str(installed.lib)})


# ---- the unit -------------------------------------------------------------------------

# What systemd.exec(5) says to cut the unit's mounts off from everybody else's.
CUT_OFF = ["BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths", "InaccessiblePaths",
           "MountAPIVFS", "MountFlags", "NoExecPaths", "PrivateDevices", "PrivateIPC",
           "PrivateMounts", "PrivateNetwork", "PrivateTmp", "PrivateUsers", "ProcSubset",
           "ProtectControlGroups", "ProtectHome", "ProtectKernelLogs", "ProtectKernelModules",
           "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "ReadOnlyPaths",
           "ReadWritePaths", "RootDirectory", "RootImage", "TemporaryFileSystem"]


@pytest.fixture(scope="module")
def unit(installed):
    return (installed.prefix / "lib/systemd/system/quiverfs@.service").read_text()


def test_the_unit_is_without_faults(installed, unit, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    # systemd looks for the program where this test has not put it
    path = tmp_path / "quiverfs@.service"
    path.write_text(unit.replace("=quiverfs ", f"={installed.bin}/quiverfs "))
    assert path.read_text().count(str(installed.bin)) == 2
    for name in ("quiverfs@.service", "quiverfs@srv-vectors.service"):
        done = run("systemd-analyze", "verify", "--man=no", tmp_path / name)
        assert b"quiverfs" not in done.stderr, done.stderr.decode()


def setting(unit, name):
    return re.search(rf"^{name}=(.*)$", unit, flags=re.MULTILINE)[1]


def test_the_unit_does_not_start_again_what_is_wrong_usage(unit, tmp):
    store = Store(tmp)
    (tmp / "mnt").mkdir()
    assert setting(unit, "Restart") == "on-failure"
    run(QUIVERFS, "mount", "-f", "-o", "no_such_option", store.path, tmp / "mnt",
        status=int(setting(unit, "RestartPreventExitStatus")))


def test_the_unit_spares_the_daemon_and_dumps_nothing(unit):
    assert int(setting(unit, "OOMScoreAdjust")) < 0
    assert setting(unit, "LimitCORE") == "0"
    assert setting(unit, "KeyringMode") == "private"


def test_the_units_mount_is_for_everybody(unit):
    names = re.findall(r"^(\w+)=", unit, flags=re.MULTILINE)
    assert "ExecStart" in names
    assert [name for name in names if name in CUT_OFF] == []


def allowed_calls(unit):
    """The system calls that the unit's filter lets through."""
    known, found = {}, set()
    group = None
    for line in run("systemd-analyze", "syscall-filter").stdout.decode().splitlines():
        if line.startswith("@"):
            group = known.setdefault(line.strip(), [])
        elif line.strip() and not line.strip().startswith("#") and group is not None:
            group.append(line.strip())
    left = re.search(r"^SystemCallFilter=(.*)$", unit, flags=re.MULTILINE)[1].split()
    while left:
        name = left.pop()
        if name.startswith("@"):
            left += known[name]
        else:
            found.add(name)
    return found


@pytest.mark.parametrize("transport", ["auto", "off"])
def test_the_daemon_makes_no_other_system_calls_than_the_unit_lets_it(unit, tmp, transport):
    for tool in ("systemd-analyze", "strace"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    store = Store(tmp)
    mnt = Mount(store, options=[f"io_uring={transport}"],
                before=["strace", "-f", "-qq", "-o", tmp / "trace"])
    try:
        for vector in range(200):
            mnt.put(vector, bytes(mnt.size))
        mnt.control("durability", "always")
        for vector in range(150):
            os.unlink(mnt.path(vector))
            mnt.put(200 + vector % 10, bytes(mnt.size))
        mnt.control("reserve", "500000")
        mnt.control("checkpoint", "1")
        for job in ("compact", "verify"):
            mnt.control(job, "start")
            mnt.finish_job(job)
        assert len(mnt.ids()) == 60
        (mnt.point / "matrix.npy").read_bytes()
        mnt.stats()
        assert mnt.get(199) == bytes(mnt.size)
    finally:
        mnt.unmount()
    made = set(re.findall(r"^\d+ +(\w+)\(", (tmp / "trace").read_text(), flags=re.MULTILINE))
    assert {"fdatasync", "mount", "exit_group"} <= made
    assert made - allowed_calls(unit) == set()


@pytest.mark.needs_root("runs with the capabilities of a unit")
def test_the_units_capabilities_are_enough(unit, tmp, transport):
    line = re.search(r"^CapabilityBoundingSet=(.*)$", unit, flags=re.MULTILINE)[1]
    names = ["+" + name.removeprefix("CAP_").lower() for name in line.split()]
    assert len(names) == 3 and "NoNewPrivileges=yes\n" in unit
    store = Store(tmp)
    run("chown", "-R", "nobody:nogroup", store.path)
    mnt = Mount(store, transport=transport, before=["setpriv", "--no-new-privs", "--inh-caps=-all",
                                                    "--bounding-set", ",".join(["-all", *names])])
    try:
        mnt.put(1, bytes(mnt.size))
        quiverfs("flush", mnt.point)
        os.kill(mnt.pid, signal.SIGTERM)
        assert mnt.ended() == []
    finally:
        mnt.take_away()
    store.check()
