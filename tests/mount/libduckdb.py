"""Parquet files written and read by libduckdb, without the code under test."""

import ctypes
import os
from pathlib import Path

import numpy
import pytest


def find():
    """The library: the user's own, or what tools/setup has put there."""
    if os.environ.get("QUIVERFS_LIBDUCKDB"):
        return Path(os.environ["QUIVERFS_LIBDUCKDB"])
    source = Path(os.environ.get("QUIVERFS_SOURCE", Path(__file__).parents[2]))
    return next(iter(sorted((source / "subprojects/packagecache").glob("libduckdb-*.so"))), None)


LIBRARY = find()
NEEDED = pytest.mark.skipif(LIBRARY is None, reason="libduckdb is not there (tools/setup fetches it)")

TYPES = {"f4": "FLOAT", "f8": "DOUBLE", "i1": "TINYINT", "u1": "UTINYINT", "i2": "SMALLINT",
         "u2": "USMALLINT", "i4": "INTEGER", "u4": "UINTEGER", "i8": "BIGINT", "u8": "UBIGINT",
         "?": "BOOLEAN"}


class Result(ctypes.Structure):
    _fields_ = [("counts", ctypes.c_uint64 * 3), ("columns", ctypes.c_void_p),
                ("error", ctypes.c_char_p), ("internal", ctypes.c_void_p)]


def load():
    library = ctypes.CDLL(str(LIBRARY))
    library.duckdb_result_error.restype = ctypes.c_char_p
    library.duckdb_fetch_chunk.restype = ctypes.c_void_p
    library.duckdb_fetch_chunk.argtypes = [Result]
    library.duckdb_data_chunk_get_size.restype = ctypes.c_uint64
    library.duckdb_data_chunk_get_size.argtypes = [ctypes.c_void_p]
    library.duckdb_data_chunk_get_vector.restype = ctypes.c_void_p
    library.duckdb_data_chunk_get_vector.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
    library.duckdb_vector_get_data.restype = ctypes.c_void_p
    library.duckdb_vector_get_data.argtypes = [ctypes.c_void_p]
    library.duckdb_list_vector_get_child.restype = ctypes.c_void_p
    library.duckdb_list_vector_get_child.argtypes = [ctypes.c_void_p]
    library.duckdb_list_vector_get_size.restype = ctypes.c_uint64
    library.duckdb_list_vector_get_size.argtypes = [ctypes.c_void_p]
    return library


class Duck:
    def __init__(self):
        self.library = load()
        self.database, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        assert self.library.duckdb_open(None, ctypes.byref(self.database)) == 0
        assert self.library.duckdb_connect(self.database, ctypes.byref(self.connection)) == 0
        self.run("SET threads = 1")

    def close(self):
        self.library.duckdb_disconnect(ctypes.byref(self.connection))
        self.library.duckdb_close(ctypes.byref(self.database))

    def chunks(self, text):
        """Run a statement; each chunk of what it gives."""
        result = Result()
        if self.library.duckdb_query(self.connection, text.encode(), ctypes.byref(result)) != 0:
            raise RuntimeError(self.library.duckdb_result_error(ctypes.byref(result)).decode())
        while True:
            chunk = self.library.duckdb_fetch_chunk(result)
            if chunk is None or self.library.duckdb_data_chunk_get_size(chunk) == 0:
                break
            yield chunk
            held = ctypes.c_void_p(chunk)
            self.library.duckdb_destroy_data_chunk(ctypes.byref(held))
        self.library.duckdb_destroy_result(ctypes.byref(result))

    def run(self, text):
        for _ in self.chunks(text):
            pass

    def array(self, vector, count, dtype):
        data = self.library.duckdb_vector_get_data(vector)
        size = count * numpy.dtype(dtype).itemsize
        return numpy.frombuffer(ctypes.string_at(data, size), dtype)

    def numbers(self, text, dtype):
        """The first column of a query."""
        parts = [self.array(self.library.duckdb_data_chunk_get_vector(chunk, 0),
                            self.library.duckdb_data_chunk_get_size(chunk), dtype)
                 for chunk in self.chunks(text)]
        return numpy.concatenate(parts) if parts else numpy.zeros(0, dtype)

    def lists(self, text, dtype, dim):
        """The first column of a query, of lists of `dim` numbers each."""
        parts = []
        for chunk in self.chunks(text):
            vector = self.library.duckdb_data_chunk_get_vector(chunk, 0)
            child = self.library.duckdb_list_vector_get_child(vector)
            parts.append(self.array(child, self.library.duckdb_list_vector_get_size(vector), dtype))
        return numpy.concatenate(parts).reshape(-1, dim)

    def text(self, text):
        """A query that gives one text."""
        bytes_of = self.numbers(f"SELECT unnest(list_transform(range(1, length(t) + 1), i -> "
                                f"unicode(t[i])::UINTEGER)) FROM ({text}) AS q(t)", "u4")
        return "".join(map(chr, bytes_of))

    def copy(self, query, path, options="COMPRESSION zstd"):
        """Write what a query gives to a Parquet file."""
        quoted = str(path).replace("'", "''")
        self.run(f"COPY ({query}) TO '{quoted}' (FORMAT parquet, {options})")

    def write(self, path, rows, ids=None, vector="vector", id_name="id", options="COMPRESSION zstd"):
        """Write rows of numpy, exactly."""
        kind = TYPES[rows.dtype.str.lstrip("<|").replace("b1", "?")]
        values = []
        for i, row in enumerate(rows):
            numbers = ", ".join(repr(number) for number in row.tolist())
            ident = f"{ids[i]}::{TYPES[ids.dtype.str.lstrip('<|')]}, " if ids is not None else ""
            values.append(f"({ident}'[{numbers}]'::{kind}[])")
        names = (f'"{id_name}", ' if ids is not None else "") + '"' + vector.replace('"', '""') + '"'
        self.copy(f"SELECT * FROM (VALUES {', '.join(values)}) AS rows({names})", path, options)
