"""tools/release, in a tree of a few files whose packages are made in no time."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Two packages, of which one links against the C library. In the second build a file differs if told so.
PACKAGE = r"""#!/bin/sh
set -eu
for name in quiverfs libquiver2; do
	mkdir -p work/$name/DEBIAN
	printf 'Package: %s\nVersion: 1.2.3\nArchitecture: all\nMaintainer: Jo <jo@localhost>\nDepends: %s\nDescription: none\n' \
		$name "libc6 (>= 2.36), libquiver2 (= 1.2.3), fuse3 | fuse" >work/$name/DEBIAN/control
	[ ! -e depends_on_the_place ] || pwd >work/$name/file
	find work -exec touch -d @1 {} +
	chmod -R go=rX work
	SOURCE_DATE_EPOCH=1 dpkg-deb --root-owner-group -b work/$name "$1/${name}_1.2.3_all.deb"
done
echo built >"$1/buildinfo"
"""
CHANGES = """# Changelog

## What is stable

## [Unreleased]

## [1.2.3] - 2026-01-31

### Added

- Something.

## [1.2.2] - 2026-01-01
"""
TREE = {
    "meson.build": "project('quiverfs', 'c',\n        version: '1.2.3',\n        license: 'MIT')\n",
    "CHANGELOG.md": CHANGES,
    "tools/debian/changelog": "quiverfs (1.2.3) unstable; urgency=medium\n\n  * New.\n\n"
                              " -- Jo <jo@localhost>  Sat, 31 Jan 2026 10:00:00 +0000\n",
    "tools/python/pyproject.toml": '[project]\nversion = "1.2.3"\n',
    "tools/python/quiverfs/__init__.py": '__version__ = "1.2.3"\n',
    "subprojects/fuse3.wrap": "[wrap-file]\ndirectory = fuse-3.18.3\nsource_url = https://example.org/f\n"
                              "source_hash = " + "0" * 64 + "\ndiff_files = one.diff, two.diff\n",
    "tools/package": PACKAGE,
    ".gitignore": "/build*/\n",
}


def git(tree, *words):
    done = subprocess.run(["git", "-c", "user.name=Jo", "-c", "user.email=jo@localhost", *words], cwd=tree,
                          check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def tree(tmp_path):
    for tool in ("git", "dpkg-deb", "sha256sum", "cmp"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    folder = tmp_path / "tree"
    for name, text in TREE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "tools/lib").mkdir()
    for name in ("tools/release", "tools/lib/sbom.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "tools/package").chmod(0o755)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all")
    return folder


def release(tree, *words, status=0):
    # Lintian has much to say of packages that are nearly empty.
    tools = tree.parent / "tools"
    tools.mkdir(exist_ok=True)
    if not (tools / "lintian").exists():
        (tools / "lintian").symlink_to("/bin/true")
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "GIT_CONFIG_COUNT": "2",
                   "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Jo",
                   "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "jo@localhost"}
    done = subprocess.run([tree / "tools/release", *words], cwd=tree, check=False, capture_output=True,
                          text=True, env=environment)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def test_all_that_names_the_version_of_this_tree_names_the_same_one():
    done = subprocess.run([ROOT / "tools/release", "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"version \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("name, old, new, says", [
    ("meson.build", "1.2.3", "1.2", "no version like"),
    ("CHANGELOG.md", "[1.2.3]", "[1.2.4]", "CHANGELOG.md has version 1.2.4"),
    ("CHANGELOG.md", "## [1.2.3] - 2026-01-31", "## [1.2.3]", "no date"),
    ("CHANGELOG.md", "2026-01-31", "2026-02-01", "1.2.3 is of 2026-02-01 in CHANGELOG.md"),
    ("tools/debian/changelog", "(1.2.3)", "(1.2.2)", "tools/debian/changelog has version 1.2.2"),
    ("tools/debian/changelog", "unstable", "UNRELEASED", "says UNRELEASED"),
    ("tools/python/pyproject.toml", "1.2.3", "1.2.30", "pyproject.toml has version 1.2.30"),
    ("tools/python/quiverfs/__init__.py", "__version__", "__versions__", "__init__.py has version (none)"),
])
def test_a_version_that_differs_is_told(tree, name, old, new, says):
    assert release(tree, "--check") == "version 1.2.3\n"
    text = (tree / name).read_text()
    assert old in text
    (tree / name).write_text(text.replace(old, new, 1))
    assert says in release(tree, "--check", status=1)
    git(tree, "commit", "-qam", "changed")
    assert "nothing was made" in release(tree, "--dry-run", "--once", status=1)
    assert not (tree / "build-dist").exists()


def test_what_is_made(tree, tmp_path):
    said = release(tree)
    assert git(tree, "cat-file", "-t", "v1.2.3") == "tag\n"
    assert git(tree, "rev-parse", "v1.2.3^{}") == git(tree, "rev-parse", "HEAD")
    assert "git push origin v1.2.3" in said
    made = tree / "build-dist"
    names = sorted(path.name for path in made.iterdir())
    assert names == ["SHA256SUMS", "libquiver2_1.2.3_all.deb", "quiverfs-1.2.3.spdx.json",
                     "quiverfs-1.2.3.tar.gz", "quiverfs_1.2.3.buildinfo", "quiverfs_1.2.3_all.deb"]
    sums = dict(reversed(line.split()) for line in (made / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((made / name).read_bytes()).hexdigest()
                    for name in names if name != "SHA256SUMS"}
    listed = subprocess.run(["tar", "-tzf", made / "quiverfs-1.2.3.tar.gz"], check=True, capture_output=True,
                            text=True).stdout.split()
    assert {"quiverfs-1.2.3/" + name for name in TREE} <= set(listed)
    # once more: the tag is there, and all is the same
    assert "there is a tag v1.2.3 already" in release(tree, tmp_path / "other", status=1)
    assert "build-dist is not empty" in release(tree, "--dry-run", status=1)
    release(tree, "--dry-run", "--once", tmp_path / "other")
    for name in names:
        assert (tmp_path / "other" / name).read_bytes() == (made / name).read_bytes(), name


def test_what_it_is_made_of_is_told(tree):
    release(tree, "--dry-run", "--once")
    assert git(tree, "tag") == ""
    made = tree / "build-dist"
    told = json.loads((made / "quiverfs-1.2.3.spdx.json").read_text())
    assert told["spdxVersion"] == "SPDX-2.3" and told["SPDXID"] == "SPDXRef-DOCUMENT"
    packages = {package["name"]: package for package in told["packages"]}
    assert {"quiverfs", "libquiver2", "quiverfs-1.2.3.tar.gz", "libc6", "fuse3"} <= set(packages)
    ids = {package["SPDXID"] for package in told["packages"]}
    assert len(ids) == len(packages) and all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one) for one in ids)
    for relation in told["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= ids | {"SPDXRef-DOCUMENT"}
    found = {(one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"])
             for one in told["relationships"]}
    assert ("SPDXRef-quiverfs", "DEPENDS_ON", "SPDXRef-libquiver2") in found
    assert ("SPDXRef-quiverfs", "DEPENDS_ON", "SPDXRef-libc6") in found
    file = made / packages["quiverfs"]["packageFileName"]
    assert packages["quiverfs"]["checksums"][0]["checksumValue"] == hashlib.sha256(file.read_bytes()).hexdigest()
    if subprocess.run(["dpkg-query", "-W", "libc6"], check=False, capture_output=True).returncode == 0:
        assert "@2." in packages["libc6"]["externalRefs"][0]["referenceLocator"]
    if "libfuse" in packages:  # else the system's is new enough
        assert ("SPDXRef-quiverfs", "STATIC_LINK", "SPDXRef-libfuse") in found
        assert "one.diff" in packages["libfuse"]["comment"]


def test_packages_that_depend_on_where_they_are_built_are_refused(tree):
    (tree / "depends_on_the_place").touch()
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "changed")
    assert "is not the same" in release(tree, status=1)
    assert git(tree, "tag") == ""


def test_a_tree_with_changes_or_news_is_refused(tree):
    (tree / "new").touch()
    assert "not committed" in release(tree, "--dry-run", "--once", status=1)
    (tree / "new").unlink()
    (tree / "CHANGELOG.md").write_text(CHANGES.replace("[Unreleased]\n", "[Unreleased]\n\n- More.\n"))
    git(tree, "commit", "-qam", "changed")
    assert "changes under [Unreleased]" in release(tree, "--dry-run", "--once", status=1)
    assert release(tree, "--check") == "version 1.2.3\n"


def test_what_lintian_refuses_is_no_release(tree):
    (tree.parent / "tools").mkdir()
    (tree.parent / "tools/lintian").symlink_to("/bin/false")
    assert "lintian does not accept" in release(tree, "--once", status=1)
    assert git(tree, "tag") == ""
