"""What the files of control/ tell."""

from __future__ import annotations

import os
import re
from typing import Dict


def read_value(folder: str, name: str) -> str:
    """The text of a control file, without its newline."""
    with open(os.path.join(folder, name), encoding="utf-8", errors="surrogateescape") as file:
        return file.read().rstrip("\n")


def write_value(folder: str, name: str, value: str) -> None:
    """One write(2), whose errno is the answer."""
    path = os.path.join(folder, name)
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def read_stats(folder: str) -> Dict[str, str]:
    """control/stats: what is \\ooo in it is one byte."""
    lines = read_value(folder, "stats").splitlines()
    return {name: _unescaped(value) for name, _, value in (line.partition(" ") for line in lines)}


def _unescaped(text: str) -> str:
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]),
                              text.encode("ascii", "surrogateescape")))
