"""A mount, or a snapshot in one, as where the vectors of a Store lie.

Many vectors at once go through control/get and control/put, questions through control/nearest.
Where these are not there (a read-only mount), or not for this user, there are other ways: the store
itself by libquiver, and the files of the vectors.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import Any, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from .backend import Backend
from .buffers import bytes_of
from .by_file import ByFile, NearestByFile
from .channel import Channel
from .library import Library
from .maps import Maps
from .question import METRICS, Answer, Question, ask_in_parts, room_for
from .stats import read_stats, read_value, write_value
from .ways import Way, Ways

# Of one request, where the daemon allows more: it is charged to the user for as long as the file is
# open, several threads ask at the same time, and larger ones are no faster.
_GET_BYTES = 1 << 20
_GETS_MAX = 8
_QUESTION_BYTES = 512 << 10
_QUESTIONS_MAX = 4
_PUT_BYTES_DEFAULT = 512 << 10
_GET_IDS_DEFAULT = 65536
_HEADER = struct.Struct("<8sIIiIdQQQQ")
_EXACT, _WITHIN = 1, 2


def is_mount(path: str) -> bool:
    """Whether quiverfs is mounted there, or a snapshot is in that folder of a mount."""
    return (os.path.isfile(os.path.join(path, "control", "dim"))
            and os.path.isdir(os.path.join(path, "vectors")))


class Getter(Way):
    """control/get."""

    def __init__(self, control: str, step: int) -> None:
        self._channel = Channel(os.path.join(control, "get"), _GETS_MAX)
        self._step = step

    def get(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> NDArray[np.uint8]:
        status = np.empty(len(ids), np.uint8)
        for first in range(0, len(ids), self._step):
            part = slice(first, first + self._step)
            self._channel.ask([bytes_of(ids[part])],
                              [bytes_of(rows[part]), bytes_of(status[part])])
        return status

    def close(self) -> None:
        self._channel.close()


class Asker(Way):
    """control/nearest."""

    def __init__(self, control: str) -> None:
        self._channel = Channel(os.path.join(control, "nearest"), _QUESTIONS_MAX)

    def nearest(self, question: Question) -> Answer:
        return ask_in_parts(question, _QUESTION_BYTES, self._ask)

    def _ask(self, question: Question) -> Answer:
        count = len(question.vectors)
        answer = room_for(count, question.k)
        found = np.zeros(count + count % 2, np.uint32)  # to a multiple of 8 bytes
        filters = [part for part in (question.ids, question.except_ids) if part is not None]
        self._channel.ask([memoryview(self._header(question)),
                           *map(bytes_of, [*filters, question.vectors])],
                          [bytes_of(found), bytes_of(answer.answers)])
        return Answer(answer.answers, found[:count])

    @staticmethod
    def _header(question: Question) -> bytes:
        metric = -1 if question.metric is None else METRICS.index(question.metric)
        flags = (_EXACT if question.exact else 0) | (_WITHIN if question.within is not None else 0)
        return _HEADER.pack(b"QUIVERNQ", 1, question.k, metric, flags, question.within or 0.0,
                            len(question.vectors), 0 if question.ids is None else len(question.ids),
                            0 if question.except_ids is None else len(question.except_ids), 0)

    def close(self) -> None:
        self._channel.close()


class Putter(Way):
    """control/put: each write of at most 512 KiB is one commit."""

    def __init__(self, control: str, bytes_max: int) -> None:
        self._path = os.path.join(control, "put")
        self._bytes_max = bytes_max
        os.close(self._open())

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def put(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> None:
        row_bytes = rows.itemsize * rows.shape[1]
        record = np.dtype([("id", "<u8"), ("row", "V", row_bytes)])
        step = max(self._bytes_max // record.itemsize, 1)
        records = np.empty(min(step, len(ids)), record)
        fd = self._open()
        try:
            for first in range(0, len(ids), step):
                count = min(step, len(ids) - first)
                records["id"][:count] = ids[first:first + count]
                records["row"][:count] = rows[first:first + count].view(f"V{row_bytes}")[:, 0]
                os.write(fd, bytes_of(records[:count]))
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from None
        finally:
            os.close(fd)


class Mount(Backend):
    """The mount at `point`, or the snapshot that is shown in that folder."""

    def __init__(self, point: str) -> None:
        self.path = point
        self._control = os.path.join(point, "control")
        self._vectors = os.path.join(point, "vectors")
        self.dim = int(read_value(self._control, "dim"))
        self.type = read_value(self._control, "dtype")
        self._stats = read_stats(self._control)
        self.is_frozen = os.path.exists(os.path.join(self._control, "snapshot_uuid"))
        self._files = ByFile(self._vectors)
        self._library = Ways([self._open_library])
        self._maps = Ways([lambda: Maps(point)])
        self._getter = Ways([*([self._maps] if self.is_frozen else []), self._open_getter,
                             self._library, lambda: self._files])
        self._asker = Ways([lambda: Asker(self._control), self._library,
                            lambda: NearestByFile(os.path.join(point, "nearest"))])
        self._putter = Ways([self._open_putter, lambda: self._files])
        # The library last, which others have found by it.
        self._all_ways = [self._getter, self._asker, self._putter, self._maps, self._library]

    def _number(self, name: str, default: int) -> int:
        return int(self._stats.get(name, default))

    def _open_getter(self) -> Getter:
        vector_bytes = self._number("vector_bytes", 1)
        step = min(self._number("get_ids_max", _GET_IDS_DEFAULT),
                   max(_GET_BYTES // max(vector_bytes, 1), 1))
        return Getter(self._control, step)

    def _open_putter(self) -> Putter:
        return Putter(self._control, self._number("put_bytes_max", _PUT_BYTES_DEFAULT))

    def _open_library(self) -> Library:
        """The store by itself, where it is open to be read."""
        store = self._stats["store"]
        folder, name = os.path.split(self.path)
        if self.is_frozen and is_mount(os.path.dirname(folder)):
            # In MNT/snapshots/ it tells of the store that has it.
            store += f"@{name}"
        return Library(store, read_only=True)

    # ---- reading --------------------------------------------------------------------------

    def get(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> NDArray[np.uint8]:
        status: NDArray[np.uint8] = self._getter().get(ids, rows)
        return status

    def has(self, number: int) -> bool:
        try:
            os.stat(self._files.path(number))
        except FileNotFoundError:
            return False
        return True

    def count(self) -> int:
        return int(read_value(self._control, "count"))

    def ids(self) -> NDArray[np.uint64]:
        # Scratch files are listed, too, by names that are no numbers.
        names = [name for name in os.listdir(self._vectors) if name.isdigit()]
        return np.fromiter(map(int, names), np.uint64, len(names))

    def nearest(self, question: Question) -> Answer:
        answer: Answer = self._asker().nearest(question)
        return answer

    def matrix(self) -> Tuple[NDArray[np.uint64], NDArray[Any]]:
        maps: Maps = self._maps()
        return maps.matrix()

    # ---- changing -------------------------------------------------------------------------

    def put(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> None:
        self._putter().put(ids, rows)

    def remove(self, ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return self._files.remove(ids)

    def flush(self) -> None:
        self._files.flush()

    # ---- what people should know ------------------------------------------------------------

    def metric(self) -> str:
        return read_value(self._control, "metric")

    def set_metric(self, metric: str) -> None:
        write_value(self._control, "metric", metric)

    def label(self) -> str:
        return read_value(self._control, "label")

    def set_label(self, label: str) -> None:
        write_value(self._control, "label", label + "\n")

    # ---- snapshots ------------------------------------------------------------------------

    def snapshots(self) -> List[str]:
        lines = read_value(self._control, "snapshots").splitlines()
        return [line.split(" ", 1)[0] for line in lines]

    def _snapshot_folder(self, name: str) -> str:
        if not name or "/" in name or name.startswith("."):
            raise OSError(errno.EINVAL, "a snapshot cannot have this name", name)
        return os.path.join(self.path, "snapshots", name)

    def make_snapshot(self, name: str) -> None:
        os.mkdir(self._snapshot_folder(name))

    def remove_snapshot(self, name: str) -> None:
        os.rmdir(self._snapshot_folder(name))

    def snapshot_path(self, name: str) -> str:
        folder = self._snapshot_folder(name)
        os.stat(folder)
        return folder

    # ---- the end --------------------------------------------------------------------------

    def close(self) -> None:
        for ways in self._all_ways:
            ways.close()

    def forget(self) -> None:
        for ways in self._all_ways:
            ways.forget()
