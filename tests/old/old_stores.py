#!/usr/bin/env python3
"""Stores on disk as text, and the truth about each: what a mount of it has to serve.

usage: old_stores.py FOLDER [STAMP]    unpacks all, each as FOLDER/NAME, and makes the file STAMP

stores/NAME.txt is a tar of the folder, sparse, as xz, as base64, below lines that begin with '#' and
say how it was made: `grep -v '^#' NAME.txt | base64 -d | xz -d | tar -x` unpacks it, too.

stores/NAME.truth has a line for each thing, numbers in decimal (modes in octal), times in nanoseconds
since 1970:

    store DIM DTYPE
    folder MODE UID GID MTIME               of vectors/
    vector ID BYTES HASH MODE UID GID MTIME
    damaged ID                              not listed, and EIO for who opens it
    refused                                 is not mounted at all; the only line then

HASH is FNV-1a of the vector's bytes, 64 bits in hexadecimal, or EIO where they cannot be read.
"""

import base64
import errno
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "stores"
LINE_LENGTH = 96


def names():
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def pack(store, target, made_by):
    """The folder `store` as the text file `target`; `made_by` are the lines that say how."""
    tar = subprocess.run(["tar", "-C", store.parent, "--create", "--sparse",
                          "--hole-detection=raw", "--format=gnu", "--sort=name", "--mtime=@0",
                          "--owner=0", "--group=0", "--numeric-owner", store.name],
                         stdout=subprocess.PIPE, check=True).stdout
    text = base64.b64encode(lzma.compress(tar, preset=9 | lzma.PRESET_EXTREME)).decode()
    lines = [f"# {line}".rstrip() for line in made_by]
    lines += [text[at:at + LINE_LENGTH] for at in range(0, len(text), LINE_LENGTH)]
    target.write_text("\n".join(lines) + "\n", encoding="ascii")


def unpack(archive, folder):
    """Unpack the text file `archive` as the store `folder`/store; its path."""
    lines = Path(archive).read_text(encoding="ascii").splitlines()
    data = base64.b64decode("".join(line for line in lines if not line.startswith("#")))
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(data))) as tar:
        tar.extraction_filter = lambda member, path: member  # it is our own
        tar.extractall(folder)
    return Path(folder) / "store"


def fnv1a(data):
    found = 0xcbf29ce484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001b3 % 2**64
    return f"{found:016x}"


def attributes(path):
    found = os.lstat(path)
    return (f"{found.st_mode & 0o7777:o}", str(found.st_uid), str(found.st_gid),
            str(found.st_mtime_ns))


def hash_of(path):
    """Or the name of the errno with which it cannot be read."""
    try:
        return fnv1a(path.read_bytes())
    except OSError as error:
        return errno.errorcode[error.errno]


def served(mount, damaged=()):
    """The truth about a mounted store, as a list of lines, each a tuple of words; `damaged` are
    IDs that are to be asked for although they are not listed."""
    vectors, control = Path(mount) / "vectors", Path(mount) / "control"
    lines = [("store", (control / "dim").read_text().strip(),
              (control / "dtype").read_text().strip()),
             ("folder", *attributes(vectors))]
    listed = sorted(int(name) for name in os.listdir(vectors))
    for number in listed:
        path = vectors / str(number)
        lines.append(("vector", str(number), str(os.lstat(path).st_size), hash_of(path),
                      *attributes(path)))
    for number in sorted(set(damaged) - set(listed)):
        if hash_of(vectors / str(number)) == "EIO":
            lines.append(("damaged", str(number)))
    return lines


def write_truth(lines, target):
    target.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="ascii")


def truth(name):
    text = (FOLDER / (name + ".truth")).read_text(encoding="ascii")
    return [tuple(line.split()) for line in text.splitlines()]


def unpack_all(folder, stamp=None):
    """All stores, each as `folder`/NAME."""
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    for name in names():
        unpack(FOLDER / (name + ".txt"), folder).rename(folder / name)
    if stamp:
        Path(stamp).touch()


if __name__ == "__main__":
    unpack_all(*sys.argv[1:])
