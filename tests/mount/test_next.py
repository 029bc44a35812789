"""`quiverfs` without a command says what is here and what is next; and those commands work."""

import os
import signal

import numpy as np
import pytest

from harness import quiverfs, shell


@pytest.fixture
def work(tmp, monkeypatch):
    monkeypatch.chdir(tmp)
    return tmp


def said(folder="."):
    """The first line, and the commands."""
    done = quiverfs(status=2, cwd=folder)
    lines = done.stdout.splitlines()
    assert done.stderr == \
        "quiverfs: a command is missing: 'quiverfs --help' lists all of them\n"
    commands = [line.strip().split("  ")[0] for line in lines[1:]]
    assert len(commands) == 3
    return lines[0], commands


def test_where_nothing_is(work):
    np.save("rows.npy", np.ones((3, 4), "f4"))
    for name in ("a.txt", "b.json", ".hidden.npy"):
        open(name, "w", encoding="utf-8").close()
    first, commands = said()
    # there may be mounts of others of this user
    if first == "There is no store in this folder, and no store is mounted.":
        assert commands == ["quiverfs import NEW rows.npy", "quiverfs create NEW --dim D",
                            "man quiverfs"]
        quiverfs(*commands[0].split()[1:])
    else:
        assert first.startswith("There is no store in this folder. ")


@pytest.mark.parametrize("name", ["store", "it's a store"])
def test_where_a_store_is(stores, work, name):
    stores.create(name=name, dim=4)
    np.save("rows.npy", np.ones((3, 4), "f4"))
    os.symlink("gone", "link")
    first, commands = said()
    assert first == f"In this folder is the store {name}. It is not mounted."
    assert "quiverfs import" in commands[1] and "rows.npy" in commands[1]
    # as they stand, but for the mount, which a test has to watch
    quiverfs_path = os.path.dirname(os.environ["QUIVERFS"]) if "QUIVERFS" in os.environ else ""
    for command in commands[:2]:
        shell(f"PATH={quiverfs_path}:$PATH; {command}")
    assert commands[2].startswith("mkdir MNT && quiverfs mount ")
    first, commands = said(name)
    assert first == "This folder is a store. It is not mounted."
    assert commands == ["quiverfs status .", "quiverfs import . FILE",
                        "mkdir ../MNT && quiverfs mount . ../MNT"]


def test_where_a_mount_is(stores, work):
    mnt = stores.mount()
    wanted = [f"ls {mnt.point}", f"quiverfs status {mnt.point}", f"quiverfs umount {mnt.point}"]
    first, commands = said()
    assert first == f"The store store is mounted at {mnt.point}." and commands == wanted
    first, commands = said(mnt.store.path)
    assert first == f"The store {mnt.store.path} is mounted at {mnt.point}."
    assert commands == wanted
    for folder in (mnt.point, mnt.vectors):
        first, commands = said(folder)
        assert first == f"This folder is in {mnt.point}, where the store {mnt.store.path} is mounted."
        assert commands == [*wanted[:2], "cd / && " + wanted[2]]
    (work / "elsewhere").mkdir()
    first, commands = said(work / "elsewhere")
    assert first.startswith("There is no store in this folder. ") and len(commands) == 3


def test_a_mount_that_does_not_answer_is_not_asked(stores, work):
    mnt = stores.mount()
    os.kill(mnt.pid, signal.SIGSTOP)
    try:
        assert said()[0] == f"The store store is mounted at {mnt.point}."
    finally:
        os.kill(mnt.pid, signal.SIGCONT)


def test_a_folder_that_was_removed(work):
    os.mkdir("gone")
    done = shell(f"cd gone && rmdir ../gone && {os.environ.get('QUIVERFS', 'quiverfs')}", status=2)
    assert b"There is no store in this folder" in done.stdout
