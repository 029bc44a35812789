"""libquiver by ctypes: what of quiver.h is used here. quiver.h says what it all means."""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import (CFUNCTYPE, POINTER, Structure, c_bool, c_char, c_char_p, c_double, c_int,
                    c_int64, c_size_t, c_uint16, c_uint32, c_uint64, c_uint8, c_void_p)
from typing import Any, Optional

from .errors import LibraryError

# The number behind .so; another one has other functions.
_NAME = "libquiver.so.2"

Interrupted = CFUNCTYPE(c_bool, c_void_p)


class Geometry(Structure):
    _fields_ = [("dim", c_uint32), ("dtype", c_int), ("vector_bytes", c_uint32),
                ("uuid", c_uint8 * 16)]


class Description(Structure):
    _fields_ = [("metric", c_int), ("label", c_char * 1025)]


class QuiverError(Structure):
    _fields_ = [("text", c_char * 768)]


class Options(Structure):
    _fields_ = [("size", c_size_t), ("read_only", c_bool), ("durability", c_int),
                ("commit_interval_ms", c_uint32), ("autocompact_percent", c_uint32),
                ("lock_wait_ms", c_uint32), ("mount_point", c_char_p), ("io", c_void_p),
                ("on_report", c_void_p), ("on_report_arg", c_void_p), ("on_note", c_void_p),
                ("access", c_char_p)]


class Attr(Structure):
    _fields_ = [("mtime_ns", c_int64), ("ctime_ns", c_int64), ("uid", c_uint32),
                ("gid", c_uint32), ("mode", c_uint16)]


class Holder(Structure):
    _fields_ = [("pid", c_int64), ("mount_point", c_char * 4096)]


class Snapshot(Structure):
    _fields_ = [("name", c_char * 65), ("uuid", c_uint8 * 16), ("lsn", c_uint64),
                ("count", c_uint64), ("slots", c_uint64), ("created_ns", c_int64),
                ("own_vectors", c_uint64), ("own_bytes", c_uint64), ("damaged", c_bool)]


class CQuestion(Structure):
    _fields_ = [("size", c_size_t), ("metric", c_int), ("flags", ctypes.c_uint),
                ("vectors", c_void_p), ("count", c_size_t), ("k", c_uint32),
                ("within", c_double), ("ids", c_void_p), ("id_count", c_size_t),
                ("except", c_void_p)]


# struct quiver_record, as NumPy fills many of them.
RECORD = [("id", "<u8"), ("data", "<u8"), ("attr", "<u8"), ("attr_mask", "<u4"), ("", "<u4")]

ATTR_MTIME, ATTR_DROP_SETID = 1, 16
NEAREST_EXACT, NEAREST_WITHIN = 1, 2
METRIC_OF_STORE = -1
BATCH_BYTES_MAX, BATCH_VECTORS_MAX = 64 << 20, 1 << 20

# The store itself stands first in most of them.
_STORE = c_void_p
_DECLARED = {
    "quiver_dtype_name": (c_char_p, [c_int]),
    "quiver_metric_name": (c_char_p, [c_int]),
    "quiver_metric_parse": (c_int, [c_char_p, POINTER(c_int)]),
    "quiver_strerror": (c_char_p, [c_int]),
    "quiver_open": (c_int, [c_char_p, POINTER(Options), POINTER(c_void_p), POINTER(QuiverError)]),
    "quiver_close": (c_int, [_STORE]),
    "quiver_geometry": (POINTER(Geometry), [_STORE]),
    "quiver_capabilities": (ctypes.c_uint, [_STORE]),
    "quiver_describe": (None, [_STORE, POINTER(Description)]),
    "quiver_set_label": (c_int, [_STORE, c_char_p, c_size_t]),
    "quiver_set_metric": (c_int, [_STORE, c_int]),
    "quiver_set_interrupt": (None, [Interrupted, c_void_p]),
    "quiver_holder": (c_int, [c_char_p, POINTER(Holder)]),
    "quiver_get_many": (c_int, [_STORE, c_void_p, c_size_t, c_void_p, c_void_p, c_void_p]),
    "quiver_stat": (c_int, [_STORE, c_uint64, ctypes.c_uint, c_void_p, c_void_p]),
    "quiver_list_open": (c_int, [_STORE, ctypes.c_uint, POINTER(c_void_p)]),
    "quiver_list_read": (c_int64, [_STORE, c_void_p, c_uint64, ctypes.c_uint, c_void_p, c_size_t]),
    "quiver_list_count": (c_uint64, [_STORE, c_void_p]),
    "quiver_list_close": (None, [_STORE, c_void_p]),
    "quiver_put_batch": (c_int, [_STORE, c_void_p, c_size_t, POINTER(Attr), ctypes.c_uint,
                                 ctypes.c_uint, c_void_p]),
    "quiver_remove": (c_int, [_STORE, c_uint64, ctypes.c_uint, c_void_p]),
    "quiver_flush": (c_int, [_STORE]),
    "quiver_snapshots": (c_int, [_STORE, POINTER(POINTER(Snapshot)), POINTER(c_size_t)]),
    "quiver_snapshot_create": (c_int, [_STORE, c_char_p, c_void_p]),
    "quiver_snapshot_remove": (c_int, [_STORE, c_char_p]),
    "quiver_nearest": (c_int, [_STORE, POINTER(CQuestion), c_void_p, c_void_p]),
}

IMMUTABLE = 4

_lock = threading.Lock()
_library: Optional[Any] = None


def _find() -> Any:
    name = os.environ.get("QUIVERFS_LIBRARY") or _NAME
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise LibraryError(f"{error}: a store that is not mounted needs libquiver, which "
                           "comes with quiverfs (Debian's package libquiver2); QUIVERFS_LIBRARY "
                           "can name it. A mount does not need it.") from None
    for function, (result, arguments) in _DECLARED.items():
        try:
            found = getattr(library, function)
        except AttributeError:
            raise LibraryError(f"{name} has no {function}: it is older than this module") from None
        found.restype, found.argtypes = result, arguments
    return library


def load() -> Any:
    """The library, loaded once. LibraryError. Its functions let other threads run meanwhile."""
    global _library
    with _lock:
        if _library is None:
            _library = _find()
        return _library


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
