"""What a path names, and opening that."""

from __future__ import annotations

import errno
import os
from typing import Optional, Union

from .backend import Backend
from .errors import LibraryError
from .library import Library, is_elsewhere, mount_point_of
from .mount import Mount, is_mount
from .stats import read_stats

PathLike = Union[str, "os.PathLike[str]"]


def absolute(path: PathLike) -> str:
    """The same path wherever the process goes."""
    text = os.fspath(path)
    return text if is_elsewhere(text) else os.path.abspath(text)


def _is_store(path: str) -> bool:
    return os.path.lexists(os.path.join(path, "superblock"))


def _library(path: str, mode: Optional[str], access: str) -> Library:
    return Library(path, read_only=mode != "r+", access=access)


def _store(path: str, mode: Optional[str], access: str) -> Backend:
    """By itself, or through the mount that has it."""
    try:
        return _library(path, mode, access)
    except LibraryError:
        raise
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        point = mount_point_of(path)
        # Something else may be mounted there by now.
        if point and is_mount(point) and _is_of(point, path):
            return Mount(point)
        raise


def _is_of(point: str, path: str) -> bool:
    told = read_stats(os.path.join(point, "control")).get("store", "")
    return os.path.realpath(told) == os.path.realpath(path)


def open_backend(path: str, mode: Optional[str], access: str) -> Backend:
    """FileNotFoundError where there is neither a mount nor a store."""
    if is_elsewhere(path):
        return _library(path, mode, access)
    if is_mount(path):
        return Mount(path)
    if _is_store(path):
        return _store(path, mode, access)
    of, at, name = path.rpartition("@")
    if at and not os.path.lexists(path):
        if is_mount(of):
            return Mount(Mount(of).snapshot_path(name))
        if _is_store(of):
            return _library(path, mode, access)
    raise FileNotFoundError(errno.ENOENT, "not a mount of quiverfs, and not a store", path)
