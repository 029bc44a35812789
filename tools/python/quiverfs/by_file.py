"""Vectors of a mount, each by a file of its own: what permissions allow to everybody."""

from __future__ import annotations

import errno
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import DAMAGED, DENIED, MISSING, THERE
from .buffers import bytes_of
from .question import Answer, Question, room_for
from .ways import Way

# Not through a link, if it is no mount after all: a mount has none.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class ByFile(Way):
    """vectors/ID, read, written and removed one by one."""

    def __init__(self, vectors: str) -> None:
        self._vectors = vectors

    def path(self, number: int) -> str:
        return os.path.join(self._vectors, str(number))

    def get(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> NDArray[np.uint8]:
        """As Backend.get."""
        status = np.full(len(ids), THERE, np.uint8)
        for row, number in enumerate(ids.tolist()):
            try:
                self._read(number, rows[row:row + 1])
            except FileNotFoundError:
                status[row] = MISSING
                rows[row] = 0
            except PermissionError:
                status[row] = DENIED
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                status[row] = DAMAGED
        return status

    def _read(self, number: int, row: NDArray[Any]) -> None:
        fd = os.open(self.path(number), _READ)
        try:
            count = os.readv(fd, [bytes_of(row)])
        finally:
            os.close(fd)
        if count != row.nbytes:
            raise OSError(errno.EIO, "the vector is too short", self.path(number))

    def put(self, ids: NDArray[np.uint64], rows: NDArray[Any]) -> None:
        for row, number in enumerate(ids.tolist()):
            path = self.path(number)
            fd = os.open(path, _WRITE, 0o666)
            try:
                os.write(fd, bytes_of(rows[row:row + 1]))
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
            finally:
                os.close(fd)

    def remove(self, ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        was_there = np.ones(len(ids), np.bool_)
        for row, number in enumerate(ids.tolist()):
            try:
                os.unlink(self.path(number))
            except FileNotFoundError:
                was_there[row] = False
        return was_there

    def flush(self) -> None:
        """fsync(2) of the folder is of all vectors in it, whoever calls."""
        fd = os.open(self._vectors, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class NearestByFile(Way):
    """nearest/ID.K of a mount, which answers for vectors that are in it and nothing else. It tells
    nine digits of each distance."""

    def __init__(self, folder: str) -> None:
        os.stat(folder)
        self._folder = folder

    def nearest(self, question: Question) -> Answer:
        """As Backend.nearest, of questions that are IDs alone."""
        if (question.except_ids is None or question.metric is not None or question.exact
                or question.within is not None or question.ids is not None):
            raise PermissionError(
                errno.EACCES, "only nearest(ID) works on this mount: it is read-only or belongs to "
                "another user, and its store cannot be opened", self._folder)
        answer = room_for(len(question.vectors), question.k)
        for row, number in enumerate(question.except_ids.tolist()):
            path = os.path.join(self._folder, f"{number}.{question.k}")
            with open(path, encoding="ascii") as file:
                lines = file.read().splitlines()
            answer.found[row] = len(lines)
            for column, line in enumerate(lines):
                word, distance = line.split()
                answer.answers[row, column] = (int(word), float(distance))
        return answer
