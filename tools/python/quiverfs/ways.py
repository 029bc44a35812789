"""One of several ways to do something, of which not every mount has each."""

from __future__ import annotations

import errno
import threading
from typing import Any, Callable, List, Optional

from .errors import LibraryError

# What a way answers that is not there, or not for this user.
_NOT_THIS_WAY = {errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.EBUSY,
                 errno.EOPNOTSUPP}


class Way:
    """One that has something open overrides these."""

    def close(self) -> None:
        """The last call."""

    def forget(self) -> None:
        """The last call in a process that was forked: what belongs to the parent stays as it is."""
        self.close()


class Ways:
    """Found out when it is first needed: the first that can be opened, or the last. Any thread may
    call it; ValueError once it is closed."""

    def __init__(self, ways: List[Callable[[], Any]]) -> None:
        self._ways = ways
        self._lock = threading.Lock()
        self._found: Optional[Any] = None

    def __call__(self) -> Any:
        found = self._found
        if found is not None:
            return found
        with self._lock:
            if self._found is None:
                self._found = self._first()
            return self._found

    def _first(self) -> Any:
        if not self._ways:
            raise ValueError("closed")
        for way in self._ways[:-1]:
            try:
                return way()
            except LibraryError:
                continue
            except OSError as error:
                if error.errno not in _NOT_THIS_WAY:
                    raise
        return self._ways[-1]()

    def close(self) -> None:
        with self._lock:
            found, self._found, self._ways = self._found, None, []
        if found is not None:
            found.close()

    def forget(self) -> None:
        # Somebody may have held the lock when this process was forked.
        found, self._found = self._found, None
        if found is not None:
            found.forget()
