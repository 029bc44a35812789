"""What `meson install` puts where, and programs built against it."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import QUIVERFS, quiverfs, run

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
