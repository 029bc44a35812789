"""Parquet, in and out by libduckdb."""

import os
import struct

import numpy
import pytest

import libduckdb
from format_files import DIM, ID_MAX, count, exported, make_rows, refused, same
from harness import LONG, QUIVERFS, quiverfs, run, shell

NEEDS_LIBRARY = libduckdb.NEEDED
# What the library makes of each type of a store.
READ_AS = {"f4": "f4", "f8": "f8", "f2": "f4", "i1": "i1", "u1": "u1"}


@pytest.fixture(autouse=True)
def library(monkeypatch):
    if libduckdb.LIBRARY is not None:
        monkeypatch.setenv("QUIVERFS_LIBDUCKDB", str(libduckdb.LIBRARY))


@pytest.fixture
def duck():
    duck = libduckdb.Duck()
    yield duck
    duck.close()


@pytest.fixture
def store(stores):
    return stores.create()


def finite(rng, rows, dtype="f4", dim=DIM):
    return make_rows(rng, rows, dtype, dim, plain=True)


# ---- out --------------------------------------------------------------------


@NEEDS_LIBRARY
@pytest.mark.parametrize("dtype", list(READ_AS))
def test_out_and_in_bit_for_bit(stores, tmp, rng, duck, dtype):
    store, again = stores.create(dtype=dtype), stores.create(dtype=dtype, name="again")
    rows, ids = make_rows(rng, 3000, dtype), numpy.arange(3000, dtype="u8") * 7 + 3
    ids[-1] = ID_MAX
    numpy.save(tmp / "rows.npy", rows)
    numpy.save(tmp / "ids.npy", ids)
    quiverfs("import", store.path, tmp / "rows.npy", "--ids", tmp / "ids.npy")
    quiverfs("export", store.path, tmp / "out.parquet")
    # another program sees the same
    table = f"'{tmp}/out.parquet'"
    same(duck.numbers(f"SELECT id FROM {table}", "u8"), ids)
    seen = duck.lists(f"SELECT vector FROM {table}", READ_AS[dtype], DIM)
    with numpy.errstate(invalid="ignore"):
        wide = rows.astype(READ_AS[dtype])
    numpy.testing.assert_array_equal(seen, wide)
    # and so does import, bit for bit
    quiverfs("import", again.path, tmp / "out.parquet")
    got, got_ids = exported(again, tmp)
    assert got_ids == ids.tolist()
    if dtype == "f2":  # the library hands out wider floats, and NaN need not keep its payload
        numpy.testing.assert_array_equal(got, rows)
    else:
        same(got, rows)


@NEEDS_LIBRARY
@pytest.mark.parametrize("dtype, dim", [("f4", 1), ("u1", 1), ("i1", 9), ("f2", 65536), ("f8", 4096)])
def test_out_and_in_of_other_shapes(stores, tmp, rng, dtype, dim):
    store, again = (stores.create(dim=dim, dtype=dtype, name=name) for name in ("a", "b"))
    rows = finite(rng, 37 if dim > 1000 else 2051, dtype, dim)
    numpy.save(tmp / "rows.npy", rows)
    quiverfs("import", store.path, tmp / "rows.npy")
    quiverfs("export", store.path, tmp / "out.parquet")
    quiverfs("import", again.path, tmp / "out.parquet")
    same(exported(again, tmp)[0], rows)


@NEEDS_LIBRARY
def test_row_groups_follow_one_another(stores, tmp, duck):
    """More than one row group, by rows and by bytes."""
    store, again = stores.create(dim=2, dtype="u1"), stores.create(dim=2, dtype="u1", name="again")
    rows = numpy.arange(2 * 300000, dtype="u4").astype("u1").reshape(-1, 2)
    numpy.save(tmp / "rows.npy", rows)
    quiverfs("import", store.path, tmp / "rows.npy")
    quiverfs("export", store.path, tmp / "out.parquet")
    groups = duck.numbers(f"SELECT num_row_groups::BIGINT FROM parquet_file_metadata('{tmp}/out.parquet')", "i8")
    assert groups[0] == 3
    same(duck.numbers(f"SELECT id FROM '{tmp}/out.parquet'", "u8"), numpy.arange(300000, dtype="u8"))
    quiverfs("import", again.path, tmp / "out.parquet")
    same(exported(again, tmp)[0], rows)


@NEEDS_LIBRARY
def test_bits_are_bytes_of_eight(stores, tmp, rng):
    store, again = (stores.create(dim=24, dtype="b1", name=name) for name in ("a", "b"))
    rows = make_rows(rng, 100, "u1", 3)
    numpy.save(tmp / "rows.npy", rows)
    quiverfs("import", store.path, tmp / "rows.npy")
    quiverfs("export", store.path, tmp / "out.parquet")
    quiverfs("import", again.path, tmp / "out.parquet")
    same(exported(again, tmp)[0], rows)


@NEEDS_LIBRARY
@pytest.mark.parametrize("dtype", ["f2", "bf2"])
def test_short_floats_are_wider_in_the_file_and_come_back(stores, tmp, rng, duck, dtype):
    """The library has float of 4 bytes and none of 2; what the file says of them tells."""
    bits = "f2" if dtype == "f2" else "u2"
    rows = finite(rng, 300, "f2").view(bits)
    store, again = (stores.create(dtype=dtype, name=name) for name in ("a", "b"))
    numpy.save(tmp / "rows.npy", rows)
    quiverfs("import", store.path, tmp / "rows.npy")
    quiverfs("export", store.path, tmp / "out.parquet")
    assert duck.text(f"SELECT typeof(vector) FROM '{tmp}/out.parquet' LIMIT 1") == "FLOAT[]"
    quiverfs("import", again.path, tmp / "out.parquet")
    same(exported(again, tmp)[0], rows)


@NEEDS_LIBRARY
def test_a_file_that_is_wrong_of_its_type(stores, tmp, duck):
    duck.copy("SELECT 7 AS id, [0.5, 1e-30]::FLOAT[] AS vector", tmp / "in.parquet",
              "KV_METADATA {dtype: 'f2'}")
    refused("import", stores.create(dim=2, dtype="f2").path, tmp / "in.parquet",
            says=["row 0", "not f2"])


@NEEDS_LIBRARY
def test_out_of_an_empty_store_and_in(stores, store, tmp, duck):
    quiverfs("export", store.path, tmp / "out.parquet")
    assert len(duck.numbers(f"SELECT id FROM '{tmp}/out.parquet'", "u8")) == 0
    quiverfs("import", store.path, tmp / "out.parquet")
    assert count(store) == 0


@NEEDS_LIBRARY
def test_what_is_known_of_the_vectors_is_in_the_file(stores, tmp, duck):
    store = stores.create(dtype="f2")
    quiverfs("export", store.path, tmp / "out.parquet")
    notes = duck.text("SELECT string_agg(decode(key) || '=' || decode(value), ' ' ORDER BY key) "
                      f"FROM parquet_kv_metadata('{tmp}/out.parquet')")
    assert notes == "dtype=f2 metric=l2"


@NEEDS_LIBRARY
def test_a_library_that_cannot_write_says_why(store, tmp, rng):
    """A disk that is full amid it."""
    numpy.save(tmp / "rows.npy", finite(rng, 20000))
    quiverfs("import", store.path, tmp / "rows.npy")
    (tmp / "out.parquet").write_bytes(b"old")
    done = run("bash", "-c", 'ulimit -f 100; trap "" XFSZ; "$@"', "bash", QUIVERFS, "export",
               store.path, tmp / "out.parquet", status=None)
    assert done.returncode == 1 and b"libduckdb: " in done.stderr, done.stderr
    assert (tmp / "out.parquet").read_bytes() == b"old"
    assert sorted(name for name in os.listdir(tmp) if "parquet" in name) == ["out.parquet"]


@NEEDS_LIBRARY
def test_to_a_pipe_it_is_not_written(store, tmp, duck):
    refused("export", store.path, "-", "--format", "parquet", says=["file", "pipe"])


@NEEDS_LIBRARY
def test_through_a_mount(stores, tmp, rng, duck):
    rows = finite(rng, 500)
    duck.write(tmp / "in.parquet", rows, numpy.arange(500, dtype="i8"))
    mnt = stores.mount(stores.create())
    quiverfs("import", mnt.point, tmp / "in.parquet")
    assert mnt.get(499) == rows[499].tobytes()
    quiverfs("export", mnt.point, tmp / "out.parquet")
    same(duck.lists(f"SELECT vector FROM '{tmp}/out.parquet'", "f4", DIM), rows)


def test_without_the_library_it_is_said_what_to_do(store, tmp, monkeypatch):
    (tmp / "in.parquet").write_bytes(b"PAR1" + bytes(16) + b"PAR1")
    monkeypatch.setenv("QUIVERFS_LIBDUCKDB", str(tmp / "none.so"))
    for words in (["import", store.path, tmp / "in.parquet"],
                  ["export", store.path, tmp / "out.parquet"]):
        refused(*words, says=["libduckdb", "QUIVERFS_LIBDUCKDB", "quiverfs-examples(7)", "none.so"])
    assert not (tmp / "out.parquet").exists()


def test_a_library_of_another_kind_is_refused(store, tmp, monkeypatch):
    (tmp / "out.parquet").write_bytes(b"PAR1" + bytes(16) + b"PAR1")
    monkeypatch.setenv("QUIVERFS_LIBDUCKDB", "libm.so.6")
    refused("import", store.path, tmp / "out.parquet", says=["libm.so.6 has no duckdb_", "1.2"])


# ---- in: what others write --------------------------------------------------


@NEEDS_LIBRARY
@pytest.mark.parametrize("options", [
    f"COMPRESSION {name}" for name in ("uncompressed", "snappy", "gzip", "zstd", "lz4_raw", "brotli")
] + ["PARQUET_VERSION V2", "ROW_GROUP_SIZE 2048", "DICTIONARY_SIZE_LIMIT 1"])
def test_compressed_and_encoded(store, tmp, duck, options):
    rows = (numpy.arange(5000)[:, None] % 17 / 8 + numpy.arange(DIM)).astype("f4")
    duck.copy(f"SELECT i AS id, list_transform(range({DIM}), j -> (i % 17 / 8 + j)::FLOAT) AS vector "
              "FROM range(5000) AS r(i)", tmp / "in.parquet", options)
    quiverfs("import", store.path, tmp / "in.parquet")
    same(exported(store, tmp)[0], rows)


@NEEDS_LIBRARY
@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "u1"])
def test_types_of_stores(stores, tmp, rng, duck, dtype):
    store = stores.create(dtype=dtype)
    rows = finite(rng, 50, dtype)
    duck.write(tmp / "in.parquet", rows)
    quiverfs("import", store.path, tmp / "in.parquet")
    same(exported(store, tmp)[0], rows)


@NEEDS_LIBRARY
@pytest.mark.parametrize("dtype", ["f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
def test_other_types_are_converted_where_that_is_asked_for(store, tmp, duck, dtype):
    rows = (numpy.arange(20 * DIM) % 2).astype(dtype).reshape(20, DIM)
    duck.copy(f"SELECT list_transform(range({DIM}), j -> ((i * {DIM} + j) % 2)::{libduckdb.TYPES[dtype]}) AS v "
              "FROM range(20) AS r(i)", tmp / "in.parquet")
    refused("import", store.path, tmp / "in.parquet", says=["--convert"])
    quiverfs("import", store.path, tmp / "in.parquet", "--convert")
    same(exported(store, tmp)[0], rows.astype("f4"))


@NEEDS_LIBRARY
@pytest.mark.parametrize("name", ["vector", "embedding", "embeddings", "values", "emb",
                                  "text-embedding-ada-002", 'a "quoted" name', "vektör", "'"])
def test_the_column_is_found(store, tmp, rng, duck, name):
    """As Cohere, OpenAI, Pinecone and others call it; alone it may be called anything."""
    rows = finite(rng, 5)
    duck.write(tmp / "in.parquet", rows, vector=name)
    duck.copy(f"SELECT 'text' AS title, *, {{'a': 1}} AS metadata, ['x'] AS tags FROM '{tmp}/in.parquet'",
              tmp / "more.parquet")
    quiverfs("import", store.path, tmp / "more.parquet")
    same(exported(store, tmp)[0], rows)


@NEEDS_LIBRARY
def test_one_of_several_columns(store, tmp, rng, duck):
    rows, other = finite(rng, 5), finite(rng, 5, "i1", 3)
    duck.write(tmp / "a.parquet", rows, vector="x")
    duck.write(tmp / "b.parquet", other, vector="tokens")
    duck.copy(f"SELECT * FROM '{tmp}/b.parquet' POSITIONAL JOIN '{tmp}/a.parquet'", tmp / "in.parquet")
    refused("import", store.path, tmp / "in.parquet",
            says=["--vector-column", "tokens (TINYINT[])", "x (FLOAT[])"])
    refused("import", store.path, tmp / "in.parquet", "--vector-column", "y",
            says=["no column 'y'", "tokens", "x"])
    quiverfs("import", store.path, tmp / "in.parquet", "--vector-column", "x")
    same(exported(store, tmp)[0], rows)


@NEEDS_LIBRARY
@pytest.mark.parametrize("query, says", [
    ("'[1, 2]' AS vector", ["lists of numbers", "vector (VARCHAR)"]),
    ("[[1.5::FLOAT]] AS vector", ["FLOAT[][]"]),
    ("[{'a': 1}] AS vector", ["STRUCT"]),
    ("[1.5] AS vector", ["DECIMAL"]),
    ("'\\x00'::BLOB AS vector", ["BLOB"]),
    ("1 AS x", ["x (INTEGER)"]),
])
def test_columns_that_are_no_vectors(store, tmp, duck, query, says):
    duck.copy("SELECT " + query, tmp / "in.parquet")
    refused("import", store.path, tmp / "in.parquet", says=says)
    if "vector" in query:
        refused("import", store.path, tmp / "in.parquet", "--vector-column", "vector",
                says=["'vector' is", "expected a list of numbers"])


@NEEDS_LIBRARY
@pytest.mark.parametrize("first, prefix", [(0, ""), (0, "x"), (1, "dim_"), (0, 'odd "prefix')])
def test_a_column_for_each_element(store, tmp, rng, duck, first, prefix):
    """As a DataFrame of a matrix is written."""
    rows = finite(rng, 3000)
    numpy.savetxt(tmp / "in.csv", rows.astype("f8"), "%.17g", delimiter=",")
    names = ", ".join(f'column{i:02}::FLOAT AS "{prefix.replace(chr(34), 2 * chr(34))}{i + first}"' for i in range(DIM))
    duck.copy(f"SELECT 'a' AS label, {names}, 5 AS score FROM "
              f"read_csv('{tmp}/in.csv', header = false, all_varchar = true)",
              tmp / "in.parquet")
    done = quiverfs("import", store.path, tmp / "in.parquet")
    assert f"{DIM} columns" in done.stderr
    same(exported(store, tmp)[0], rows)


@NEEDS_LIBRARY
@pytest.mark.parametrize("names", ["1::FLOAT AS x0, 2::FLOAT AS x2", "1::FLOAT AS x0, 2::DOUBLE AS x1",
                                   "1::FLOAT AS x0", "1::FLOAT AS x5, 2::FLOAT AS x6",
                                   "1::FLOAT AS x1, 2::FLOAT AS x0", "1::FLOAT AS x0, 2::FLOAT AS y1"])
def test_columns_that_do_not_count_up(stores, tmp, duck, names):
    store = stores.create(dim=2)
    duck.copy("SELECT " + names, tmp / "in.parquet")
    refused("import", store.path, tmp / "in.parquet", says=["lists of numbers", "columns of numbers such as x0, x1"])


# ---- in: IDs ----------------------------------------------------------------


@NEEDS_LIBRARY
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("name", ["id", "_id"])
def test_ids_of_any_width(store, tmp, rng, duck, dtype, name):
    largest = min(numpy.iinfo(dtype).max, ID_MAX)
    rows, ids = finite(rng, 4), numpy.array([5, 3, 0, largest], dtype)
    duck.write(tmp / "in.parquet", rows, ids, id_name=name)
    done = quiverfs("import", store.path, tmp / "in.parquet")
    assert f'taken from "{name}"' in done.stdout + done.stderr
    got, got_ids = exported(store, tmp)
    assert got_ids == sorted(ids.tolist())
    same(got, rows[numpy.argsort(ids)])


@NEEDS_LIBRARY
def test_ids_of_a_column_by_name_or_of_none(store, tmp, rng, duck):
    rows = finite(rng, 2)
    duck.write(tmp / "in.parquet", rows, numpy.array([8, 9], "i8"), id_name="doc no")
    quiverfs("import", store.path, tmp / "in.parquet")
    assert exported(store, tmp)[1] == [0, 1]
    quiverfs("import", store.path, tmp / "in.parquet", "--id-column", "doc no")
    assert exported(store, tmp)[1] == [0, 1, 8, 9]
    refused("import", store.path, tmp / "in.parquet", "--id-column", "id", says=["no column 'id'", "doc no"])


@NEEDS_LIBRARY
@pytest.mark.parametrize("value, says", [
    ("-1::BIGINT", ["row 1", "-1", "not a whole number from 0"]),
    ("NULL::BIGINT", ["row 1", "null"]),
    ("18446744073709551615::UBIGINT", ["row 1", "largest"]),
    ("'0x7'", ["row 1", "0x7", "--keys"]),
    ("'a long key that is not within the vector'", ["row 1", "a long key", "--keys"]),
    ("'9e3f9a5c-0b1d-4c43-8c4f-2f1c9a0e1d11'::UUID", ["9e3f9a5c-0b1d", "--keys"]),
    ("7.0::DOUBLE", ["'id', is DOUBLE", "--id-column"]),
    ("[7]", ["'id', is INTEGER[]", "--id-column"]),
    ("true", ["'id', is BOOLEAN"]),
])
def test_ids_that_are_none(stores, tmp, duck, value, says):
    store = stores.create(dim=2)
    first = {"'": "'4'", "[": "[4]", "t": "false"}.get(value[0], f"4::{value.split('::')[-1]}")
    if "UUID" in value:
        first = value
    duck.copy(f"SELECT unnest([{first}, {value}]) AS id, [1, 2]::FLOAT[] AS vector"
              if value[0] != "[" else f"SELECT {value} AS id, [1, 2]::FLOAT[] AS vector", tmp / "in.parquet")
    refused("import", store.path, tmp / "in.parquet", says=says)
    # who numbers the rows otherwise has no use for them
    quiverfs("import", store.path, tmp / "in.parquet", "--start-id", "50")
    assert exported(store, tmp)[1][-1] in (50, 51)


@NEEDS_LIBRARY
@pytest.mark.parametrize("id_name", ["ID", "Id", "__index_level_0__"])
def test_ids_of_databases_and_of_pandas(store, tmp, rng, duck, id_name):
    """Their column was passed over, and the rows were counted."""
    duck.write(tmp / "in.parquet", finite(rng, 2))
    duck.copy(f'SELECT * FROM (SELECT unnest([12, 7]) AS "{id_name}") POSITIONAL JOIN '
              f"'{tmp}/in.parquet'", tmp / "named.parquet")
    quiverfs("import", store.path, tmp / "named.parquet")
    assert exported(store, tmp)[1] == [7, 12]


@NEEDS_LIBRARY
def test_digits_are_ids_and_other_text_is_a_key(stores, tmp, rng, duck):
    store, again = stores.create(), stores.create(name="again")
    rows = finite(rng, 3)
    duck.write(tmp / "in.parquet", rows)
    duck.copy("SELECT * FROM (SELECT unnest(['12', '7', '18446744069414584319']) AS id) "
              f"POSITIONAL JOIN '{tmp}/in.parquet'", tmp / "digits.parquet")
    quiverfs("import", store.path, tmp / "digits.parquet")
    assert exported(store, tmp)[1] == [7, 12, ID_MAX]
    keys = ["https://example.org/a?b=c", "vektör", "x"]
    duck.copy(f"SELECT * FROM (SELECT unnest({keys}) AS _id) POSITIONAL JOIN '{tmp}/in.parquet'",
              tmp / "keys.parquet")
    quiverfs("import", again.path, tmp / "keys.parquet", "--keys", tmp / "keys.txt")
    assert (tmp / "keys.txt").read_text(encoding="utf-8").splitlines() == keys
    same(exported(again, tmp)[0], rows)
    # and out again with them
    quiverfs("export", again.path, tmp / "out.parquet", "--keys", tmp / "keys.txt")
    assert duck.text(f"SELECT string_agg(id, ' ') FROM '{tmp}/out.parquet'") == " ".join(keys)
    quiverfs("import", store.path, tmp / "out.parquet", "--keys", tmp / "again.txt")
    assert (tmp / "again.txt").read_bytes() == (tmp / "keys.txt").read_bytes()


def test_keys_that_are_no_text(store, tmp, rng):
    numpy.save(tmp / "rows.npy", finite(rng, 2))
    quiverfs("import", store.path, tmp / "rows.npy")
    (tmp / "keys.txt").write_bytes(b"good\nb\xff\n")
    refused("export", store.path, tmp / "out.parquet", "--keys", tmp / "keys.txt",
            says=["vector 1", "UTF-8"])
    assert not (tmp / "out.parquet").exists()


# ---- in: what is wrong ------------------------------------------------------


@NEEDS_LIBRARY
@pytest.mark.parametrize("bad, says", [
    ("NULL", "null"),
    ("[1, NULL]", "element 1 of its vector is null"),
    ("[1]", "1 elements, 2 are needed"),
    ("[1, 2, 3]", "3 elements, 2 are needed"),
    ("[]", "0 elements, 2 are needed"),
])
@pytest.mark.parametrize("row", [0, 4000])
def test_bad_rows_are_told_and_those_before_are_in(stores, tmp, duck, bad, says, row):
    store = stores.create(dim=2)
    duck.copy(f"SELECT i AS id, (CASE WHEN i = {row} THEN {bad} ELSE [i, 2] END)::FLOAT[] AS vector "
              "FROM range(5000) AS r(i)", tmp / "in.parquet")
    message = refused("import", store.path, tmp / "in.parquet", says=[])
    if row == 0 and "elements" in says and not bad == "[]":
        assert "dim" in message  # the first row tells the dimension
        return
    assert f"row {row}: " in message and says in message
    assert count(store) == row


@NEEDS_LIBRARY
@pytest.mark.parametrize("name", ["*.parquet", "[ab].parquet", "a?.parquet", "it's.parquet", "%41.parquet",
                                  "a,b.parquet", "s3:bucket.parquet", "{a,b}.parquet", "-- x.parquet"])
def test_a_name_means_nothing_to_the_library(store, tmp, rng, duck, name):
    rows, others = finite(rng, 3), finite(rng, 3)
    for other in ("a.parquet", "b.parquet", "ab.parquet"):
        duck.write(tmp / other, others)
    duck.write(tmp / "x", rows)
    os.rename(tmp / "x", tmp / name)
    quiverfs("import", store.path, "./" + name, cwd=tmp)
    same(exported(store, tmp)[0], rows)


@NEEDS_LIBRARY
def test_standard_input_that_is_a_file(store, tmp, rng, duck):
    rows = finite(rng, 3)
    duck.write(tmp / "in.parquet", rows)
    shell(f"{QUIVERFS} import {store.path} - --format parquet < {tmp}/in.parquet")
    same(exported(store, tmp)[0], rows)
    refused("import", store.path, "-", "--format", "parquet", stdin=b"PAR1", says=["standard input", "only from a file"])


@pytest.mark.parametrize("data, says", [
    (b"", "empty"),
    (b"PAR1", "not a Parquet file"),
    (b"not one at all, but long enough", "not a Parquet file"),
    (b"PAR1" + bytes(40), "cut off"),
    (b"PARE" + bytes(40) + b"PARE", "encrypted"),
    (b"PAR1" + bytes(40) + b"PARE", "encrypted"),
])
def test_files_that_are_no_parquet(store, tmp, data, says):
    """That is told without the library."""
    (tmp / "in.parquet").write_bytes(data)
    refused("import", store.path, tmp / "in.parquet", says=["in.parquet", says])


@NEEDS_LIBRARY
@pytest.mark.parametrize("data", [
    b"PAR1" + b"PAR1" + b"PAR1",
    b"PAR1" + bytes(40) + struct.pack("<I", 2**32 - 1) + b"PAR1",
    b"PAR1" + bytes(40) + struct.pack("<I", 40) + b"PAR1",
    b"PAR1" + b"\xff" * 4000 + struct.pack("<I", 4000) + b"PAR1",
])
def test_footers_that_are_none(store, tmp, data):
    (tmp / "in.parquet").write_bytes(data)
    message = refused("import", store.path, tmp / "in.parquet", says=["in.parquet", "libduckdb"])
    assert "/proc" not in message


@NEEDS_LIBRARY
def test_a_file_that_is_cut_or_flipped_anywhere(stores, store, tmp, rng, duck):
    """It is refused, or read without harm: most bytes of the data may be anything."""
    duck.write(tmp / "good.parquet", finite(rng, 60), numpy.arange(60, dtype="i8"), options="COMPRESSION snappy")
    quiverfs("import", store.path, tmp / "good.parquet")
    numpy.save(tmp / "none.npy", numpy.zeros((0, DIM), "f4"))
    quiverfs("export", store.path, tmp / "ours.parquet")
    bad = tmp / "bad.parquet"
    for source in ("good", "ours"):
        data = (tmp / f"{source}.parquet").read_bytes()
        for _ in range(500 if LONG else 40):
            changed = bytearray(data)
            if rng.randrange(4) == 0:
                del changed[rng.randrange(4, len(data)):-8]
            else:
                for _ in range(rng.randrange(1, 4)):
                    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            bad.write_bytes(changed)
            done = quiverfs("import", store.path, bad, status=None)
            assert done.returncode in (0, 1), (done.returncode, done.stderr)
            assert done.returncode == 0 or "bad.parquet" in done.stderr, done.stderr
            assert "Sanitizer" not in done.stderr
    store.check()
