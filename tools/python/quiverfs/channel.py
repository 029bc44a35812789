"""Files that are asked: what is written to one is a question, what is read from it the answer.

Each open file has a question of its own (control/get, control/nearest), so each thread that asks
has one for itself meanwhile; they are kept open for the next. Each keeps the memory of its last
question and answer charged to this user, who has a quarter of what there may be in all: so they are
a few, and further threads wait for one.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import List, Sequence


def _after(views: List[memoryview], count: int) -> List[memoryview]:
    """What is left behind the first `count` bytes."""
    while views and count >= len(views[0]):
        count -= len(views[0])
        views = views[1:]
    return [views[0][count:], *views[1:]] if count > 0 else views


class Channel:
    """Any thread may ask at any time before close."""

    def __init__(self, path: str, open_max: int) -> None:
        self._path = path
        self._room = threading.Semaphore(open_max)
        self._lock = threading.Lock()
        self._idle: List[int] = []
        self._closed = False
        self._idle.append(self._open())

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def ask(self, question: Sequence[memoryview], answer: Sequence[memoryview]) -> None:
        """Write the buffers of `question`, and fill those of `answer`. OSError: what the question
        is refused for."""
        with self._room:
            self._ask(question, answer)

    def _ask(self, question: Sequence[memoryview], answer: Sequence[memoryview]) -> None:
        with self._lock:
            fd = self._idle.pop() if self._idle else -1
        if fd < 0:
            fd = self._open()
        try:
            self._talk(fd, question, answer)
        except BaseException:
            # Half a question, or half an answer, may be left in it.
            with contextlib.suppress(OSError):
                os.close(fd)
            raise
        self._give_back(fd)

    def _talk(self, fd: int, question: Sequence[memoryview], answer: Sequence[memoryview]) -> None:
        left = [part for part in question if len(part) > 0]
        while left:
            left = _after(left, os.writev(fd, left))
        left = [part for part in answer if len(part) > 0]
        while left:
            count = os.readv(fd, left)
            if count == 0:
                raise OSError(f"{self._path}: the answer is too short")
            left = _after(left, count)

    def _give_back(self, fd: int) -> None:
        with self._lock:
            keep = not self._closed
            if keep:
                self._idle.append(fd)
        if not keep:
            os.close(fd)

    def close(self) -> None:
        """Also in a process that was forked, where it leaves the parent's as they are."""
        self._lock = threading.Lock()
        self._closed = True
        while self._idle:
            os.close(self._idle.pop())
