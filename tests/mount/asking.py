"""Files that are asked: a question is written to them, and the answer read."""

import os

import numpy

from files import opened, read_chunks

MISSING, FOUND, DAMAGED, DENIED = range(4)


def ask(fd, question, chunk=1 << 20, piece=None):
    """The answer; the question goes in pieces, and the answer comes in others."""
    for at in range(0, len(question), piece or len(question) or 1):
        part = question[at:at + (piece or len(question))]
        assert os.write(fd, part) == len(part)
    return read_chunks(fd, chunk)


def asked(path, question, **options):
    with opened(path, os.O_RDWR) as fd:
        return ask(fd, question, **options)


def ids_bytes(ids):
    return numpy.array(ids, dtype="<u8").tobytes()


def split_get(answer, count, size):
    """What control/get has answered: the vectors, and what there is."""
    assert len(answer) == count * (size + 1)
    rows = [answer[at * size:(at + 1) * size] for at in range(count)]
    return rows, list(answer[count * size:])


def get_many(fd, ids, size, **options):
    return split_get(ask(fd, ids_bytes(ids), **options), len(ids), size)

