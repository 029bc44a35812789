"""A store that is not mounted, a snapshot STORE@NAME, or a collection in Ceph, by libquiver."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from typing import Any, Callable, Dict, List, Tuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import libquiver as c
from .backend import DAMAGED, MISSING, THERE, Backend
from .gate import Gate, library_gate
from .question import METRICS, Answer, Question, ask_in_parts, room_for

T = TypeVar("T")

# How long to wait for who has the store open and is just ending.
_LOCK_WAIT_MS = 2000
_LIST_PART = 1 << 16
_QUESTION_BYTES = 16 << 20
_RADOS = "rados:"


def is_elsewhere(path: str) -> bool:
    return path.startswith(_RADOS)


def mount_point_of(path: str) -> str:
    """Where the store in the folder `path` is mounted to be written to; "" where it is not."""
    library = c.load()
    holder = c.Holder()
    with library_gate:
        result = library.quiver_holder(os.fsencode(path), ctypes.byref(holder))
    return os.fsdecode(holder.mount_point) if result == 0 and holder.pid != 0 else ""


class _Interrupt:
    """Of one call: whether the thread that waits for it has given up."""

    def __init__(self) -> None:
        self.is_over = False
        # Kept, since the library has only its address.
        self.function = c.Interrupted(lambda _: bool(self.is_over))


class Library(Backend):
    """Opened to be read along with others, or, with read_only=False, alone."""

    def __init__(self, path: str, read_only: bool, access: str = "") -> None:
        self.path = path
        self._library = c.load()
        self._read_only = read_only
        self._gate = Gate()
        self._store: Any = None
        options = c.Options(size=ctypes.sizeof(c.Options), read_only=read_only,
                            lock_wait_ms=_LOCK_WAIT_MS, access=access.encode() or None)
        store, error = ctypes.c_void_p(), c.QuiverError()
        with library_gate:
            result = self._library.quiver_open(os.fsencode(path), ctypes.byref(options),
                                               ctypes.byref(store), ctypes.byref(error))
        if result < 0:
            raise OSError(-result, error.text.decode(errors="replace") or self._words(result))
        self._store = store
        geometry = self._library.quiver_geometry(store).contents
        self.dim = int(geometry.dim)
        self.type = self._library.quiver_dtype_name(geometry.dtype).decode()
        self.is_frozen = bool(self._library.quiver_capabilities(store) & c.IMMUTABLE)

    # ---- calls ----------------------------------------------------------------------------

    def _words(self, result: int) -> str:
        return str(self._library.quiver_strerror(result).decode(errors="replace"))

    def _call(self, function: Callable[..., T], *words: Any) -> T:
        with library_gate, self._gate:
            if self._store is None:
                raise ValueError(f"{self.path}: closed")
            return function(self._store, *words)

    def _do(self, function: Callable[..., int], *words: Any) -> int:
        """A call that returns 0 or more, or raises OSError."""
        result = self._call(function, *words)
        if result < 0:
            raise OSError(-result, self._words(result), self.path)
        return result

    def _do_patiently(self, function: Callable[..., int], *words: Any) -> int:
        """The same of one that may take long. A signal reaches the main thread alone, and not in
        the library: so another makes the call, and is told when this one is to end."""
        if threading.current_thread() is not threading.main_thread():
            return self._do(function, *words)
        interrupt = _Interrupt()
        outcome: Dict[str, Any] = {}

        def call() -> None:
            self._library.quiver_set_interrupt(interrupt.function, None)
            try:
                outcome["result"] = self._do(function, *words)
            except BaseException as error:  # pylint: disable=broad-except
                outcome["error"] = error

        thread = threading.Thread(target=call, name="quiverfs", daemon=True)
        thread.start()
        try:
            thread.join()
        except BaseException:
            interrupt.is_over = True
            thread.join()
            raise
        if "error" in outcome:
            raise outcome["error"]
        return int(outcome["result"])

    def _do_far(self, function: Callable[..., int], *words: Any) -> int:
        """A call that waits for other machines, where there are any."""
        do = self._do_patiently if is_elsewhere(self.path) else self._do
        return do(function, *words)

    # ---- reading --------------------------------------------------------------------------

    def get(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> NDArray[np.uint8]:
        results = np.zeros(len(ids), np.int32)
        self._do_far(self._library.quiver_get_many, ids.ctypes.data, len(ids), rows.ctypes.data,
                     None, results.ctypes.data)
        status = np.full(len(ids), THERE, np.uint8)
        absent = results < 0
        if absent.any():
            status[absent] = np.where(results[absent] == -errno.ENOENT, MISSING, DAMAGED)
            rows[absent] = 0
        return status

    def has(self, number: int) -> bool:
        result = self._call(self._library.quiver_stat, number, 0, None, None)
        if result not in (0, -errno.ENOENT, -errno.EIO):
            raise OSError(-result, self._words(result), self.path)
        return bool(result != -errno.ENOENT)

    def count(self) -> int:
        if is_elsewhere(self.path):
            return len(self.ids())
        return int(self._call(self._library.quiver_count))

    def ids(self) -> NDArray[np.uint64]:
        listing = ctypes.c_void_p()
        self._do_far(self._library.quiver_list_open, 0, ctypes.byref(listing))
        try:
            count = self._call(self._library.quiver_list_count, listing)
            ids = np.empty(count, np.uint64)
            first = 0
            while first < count:
                part = ids[first:first + _LIST_PART]
                first += self._do(self._library.quiver_list_read, listing, first, 0,
                                  part.ctypes.data, len(part))
        finally:
            self._call(self._library.quiver_list_close, listing)
        return ids

    def nearest(self, question: Question) -> Answer:
        return ask_in_parts(question, _QUESTION_BYTES, self._ask)

    def _ask(self, question: Question) -> Answer:
        answer = room_for(len(question.vectors), question.k)
        asked = c.CQuestion(
            size=ctypes.sizeof(c.CQuestion),
            metric=(c.METRIC_OF_STORE if question.metric is None
                    else METRICS.index(question.metric)),
            flags=((c.NEAREST_EXACT if question.exact else 0)
                   | (c.NEAREST_WITHIN if question.within is not None else 0)),
            vectors=question.vectors.ctypes.data, count=len(question.vectors), k=question.k,
            within=question.within or 0.0)
        if question.ids is not None:
            # Of none at all the address is not NULL, too.
            asked.ids, asked.id_count = question.ids.ctypes.data, len(question.ids)
        if question.except_ids is not None:
            setattr(asked, "except", question.except_ids.ctypes.data)
        self._do_patiently(self._library.quiver_nearest, ctypes.byref(asked),
                           answer.answers.ctypes.data, answer.found.ctypes.data)
        return answer

    # ---- changing -------------------------------------------------------------------------

    def _refuse_reader(self) -> None:
        if self._read_only:
            raise PermissionError(errno.EACCES, "opened for reading; "
                                  "quiverfs.open(path, mode='r+') opens it for writing", self.path)

    def put(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> None:
        self._refuse_reader()
        row_bytes = rows.itemsize * rows.shape[1]
        step = min(c.BATCH_VECTORS_MAX, max(c.BATCH_BYTES_MAX // row_bytes, 1))
        attr = c.Attr(mtime_ns=time.time_ns(), uid=os.geteuid(), gid=os.getegid(), mode=0o644)
        mask = c.ATTR_MTIME | (c.ATTR_DROP_SETID if os.geteuid() != 0 else 0)
        for first in range(0, len(ids), step):
            part = ids[first:first + step]
            records = np.zeros(len(part), c.RECORD)
            records["id"] = part
            records["data"] = rows.ctypes.data + row_bytes * np.arange(
                first, first + len(part), dtype=np.uint64)
            self._do_far(self._library.quiver_put_batch, records.ctypes.data, len(part),
                         ctypes.byref(attr), mask, 0, None)

    def remove(self, ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        self._refuse_reader()
        was_there = np.ones(len(ids), np.bool_)
        for row, number in enumerate(ids.tolist()):
            result = self._call(self._library.quiver_remove, number, 0, None)
            if result == -errno.ENOENT:
                was_there[row] = False
            elif result < 0:
                raise OSError(-result, self._words(result), self.path)
        return was_there

    def flush(self) -> None:
        if not self._read_only:
            self._do(self._library.quiver_flush)

    # ---- what people should know ------------------------------------------------------------

    def _describe(self) -> c.Description:
        description = c.Description()
        self._call(self._library.quiver_describe, ctypes.byref(description))
        return description

    def metric(self) -> str:
        return str(self._library.quiver_metric_name(self._describe().metric).decode())

    def set_metric(self, metric: str) -> None:
        self._refuse_reader()
        number = ctypes.c_int()
        if self._library.quiver_metric_parse(metric.encode(), ctypes.byref(number)) < 0:
            raise OSError(errno.EINVAL, f"no metric {metric!r}", self.path)
        self._do(self._library.quiver_set_metric, number)

    def label(self) -> str:
        return bytes(self._describe().label).decode(errors="replace")

    def set_label(self, label: str) -> None:
        self._refuse_reader()
        text = label.encode()
        self._do(self._library.quiver_set_label, text, len(text))

    # ---- snapshots ------------------------------------------------------------------------

    def snapshots(self) -> List[str]:
        listed = ctypes.POINTER(c.Snapshot)()
        count = ctypes.c_size_t()
        self._do(self._library.quiver_snapshots, ctypes.byref(listed), ctypes.byref(count))
        names = [listed[i].name.decode() for i in range(count.value)]
        _free(listed)
        return names

    def make_snapshot(self, name: str) -> None:
        self._refuse_reader()
        self._do(self._library.quiver_snapshot_create, name.encode(), None)

    def remove_snapshot(self, name: str) -> None:
        self._refuse_reader()
        self._do(self._library.quiver_snapshot_remove, name.encode())

    def snapshot_path(self, name: str) -> str:
        if name not in self.snapshots():
            raise FileNotFoundError(errno.ENOENT, "no such snapshot", f"{self.path}@{name}")
        return f"{self.path}@{name}"

    def matrix(self) -> Tuple[NDArray[np.uint64], NDArray[Any]]:
        raise OSError(errno.EOPNOTSUPP, "mount it to get it as one array", self.path)

    # ---- the end --------------------------------------------------------------------------

    def close(self) -> None:
        self._gate.shut()
        store, self._store = self._store, None
        self._gate.open()
        if store is not None:
            with library_gate:
                result = self._library.quiver_close(store)
            if result < 0:
                raise OSError(-result, self._words(result), self.path)

    def forget(self) -> None:
        """The threads and locks are the parent's: nothing of it may be touched."""
        self._store = None


def _free(pointer: Any) -> None:
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    libc.free.restype = None
    libc.free(ctypes.cast(pointer, ctypes.c_void_p))
