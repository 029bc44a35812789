"""Filesystems whose files the kernel does not pass through to who maps matrix.npy."""

import contextlib

from harness import run


@contextlib.contextmanager
def on_overlay(folder):
    """A folder whose files the kernel does not pass through: it is stacked already."""
    below = folder / "below"
    below.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", below)
    made = folder / "overlay"
    try:
        for name in ("lower", "upper", "work"):
            (below / name).mkdir()
        made.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={below}/lower,"
            f"upperdir={below}/upper,workdir={below}/work", made)
        try:
            yield made
        finally:
            run("umount", made)
    finally:
        run("umount", below)
