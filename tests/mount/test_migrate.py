"""The commands of quiverfs-migrate(7), taken off the page and run on files of each tool: made by
the tool itself where it is installed, else by what answers as its documentation says."""

import http.server
import json
import os
import sqlite3
import threading

import pytest

import libduckdb
from harness import quiverfs, run
from man_pages import SOURCE, program_folder, python3, sections

np = pytest.importorskip("numpy")

PAGE = SOURCE / "tools/man/quiverfs-migrate.7"
DIM, COUNT = 768, 2500
KEYS = [f"key {number}/ü" for number in range(COUNT)]

# What a module has that is not in any package: the calls that the page makes, answered as its
# documentation says.
MODULES = {
    "sentence_transformers": """
import numpy
class SentenceTransformer:
    def __init__(self, name):
        assert name == "all-MiniLM-L6-v2"
    def encode(self, texts):
        assert texts == ["one", "two"]
        return numpy.load("vectors.npy")[:2]
""",
    "chromadb": """
import numpy
class Collection:
    def count(self):
        return len(numpy.load("vectors.npy"))
    def get(self, include, limit, offset):
        assert include == ["embeddings"]
        vectors = numpy.load("vectors.npy")[offset:offset + limit]
        keys = open("keys").read().splitlines()[offset:offset + limit]
        return {"ids": keys, "embeddings": vectors, "documents": None, "metadatas": None}
class PersistentClient:
    def __init__(self, path):
        assert path == "chroma"
    def get_collection(self, name):
        assert name == "docs"
        return Collection()
""",
}


@pytest.fixture(autouse=True)
def library(monkeypatch):
    if libduckdb.LIBRARY is not None:
        monkeypatch.setenv("QUIVERFS_LIBDUCKDB", str(libduckdb.LIBRARY))


@pytest.fixture
def vectors(tmp, rng):
    array = np.random.default_rng(rng.getrandbits(32)).standard_normal((COUNT, DIM), dtype="f4")
    np.save(tmp / "vectors.npy", array)
    (tmp / "keys").write_text("\n".join(KEYS) + "\n")
    quiverfs("create", tmp / "STORE", "--dim", DIM, "--dtype", "f4")
    return array


def do(tmp, name, index=0, change=lambda text: text):
    """Run one command of a section; what it said."""
    text = change(sections(PAGE)[name][index]).replace("python3", python3()["python3"])
    for module, code in MODULES.items():
        (tmp / f"{module}.py").write_text(code)
    done = run("bash", "-e", "-o", "pipefail", "-c", text, cwd=tmp, status=None,
               env={**os.environ, "PYTHONPATH": str(tmp), "LC_ALL": "C.UTF-8",
                    "PATH": f"{tmp}:{program_folder(tmp)}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr.decode()


def there(tmp, expected, ids=None):
    """The store holds these vectors, by these IDs, and nothing else."""
    quiverfs("export", tmp / "STORE", tmp / "out.npy", "--ids", tmp / "out_ids.npy")
    found = np.load(tmp / "out.npy")
    assert found.dtype == np.dtype("<f4") and found.tobytes() == expected.tobytes()
    assert np.load(tmp / "out_ids.npy").tolist() == list(range(len(expected)) if ids is None
                                                         else ids)


def needs(module):
    """The Python of the examples has it."""
    if run(python3()["python3"], "-c", f"import {module}", status=None).returncode != 0:
        pytest.skip(f"there is no {module}")


def make(tmp, code):
    run(python3()["python3"], "-c", "import numpy\na = numpy.load('vectors.npy')\n" + code,
        cwd=tmp)


def test_sentence_transformers(tmp, vectors):
    (tmp / "texts.txt").write_text("one\ntwo\n")
    do(tmp, "sentence-transformers")
    there(tmp, vectors[:2])


@pytest.mark.parametrize("index, name", [
    pytest.param(0, "data/train-0000{}.parquet", marks=libduckdb.NEEDED),
    (1, "saved/data-0000{}-of-00002.arrow"),
])
def test_hugging_face(tmp, vectors, index, name):
    (tmp / name).parent.mkdir()
    for part in range(2):
        rows = vectors[part * 1000:(part + 1) * 1000]
        np.save(tmp / "part.npy", rows)
        quiverfs("create", tmp / "part", "--dim", DIM)
        quiverfs("import", tmp / "part", tmp / "part.npy")
        quiverfs("export", tmp / "part", tmp / name.format(part),
                 "--vector-column", "emb", "--id-column", "row")
        run("rm", "-r", tmp / "part")
    do(tmp, "Hugging Face", index)
    there(tmp, vectors[:2000])


def test_gensim(tmp, vectors):
    needs("gensim")
    make(tmp, "import gensim\nmodel = gensim.models.KeyedVectors(a.shape[1])\n"
              "model.add_vectors([f'word{i}' for i in range(len(a))], a)\nmodel.save('docs.kv')")
    do(tmp, "gensim")
    there(tmp, vectors)
    assert (tmp / "words.txt").read_text().splitlines() == [f"word{i}" for i in range(COUNT)]


def test_faiss(tmp, vectors):
    needs("faiss")
    make(tmp, "import faiss\nindex = faiss.IndexFlatL2(a.shape[1])\nindex.add(a)\n"
              "faiss.write_index(index, 'docs.faiss')")
    do(tmp, "faiss")
    there(tmp, vectors)


def test_faiss_with_ids(tmp, vectors):
    needs("faiss")
    make(tmp, "import faiss\nindex = faiss.IndexIDMap(faiss.IndexFlatIP(a.shape[1]))\n"
              "index.add_with_ids(a, numpy.arange(len(a), dtype='i8') * 3 + 5)\n"
              "faiss.write_index(index, 'docs.faiss')")
    do(tmp, "faiss", 1)
    there(tmp, vectors, [number * 3 + 5 for number in range(COUNT)])


def test_hnswlib(tmp, vectors):
    needs("hnswlib")
    make(tmp, "import hnswlib\nindex = hnswlib.Index(space='l2', dim=a.shape[1])\n"
              "index.init_index(max_elements=len(a), M=4, ef_construction=10)\n"
              "index.add_items(a, numpy.arange(len(a)) * 2)\nindex.save_index('docs.hnsw')")
    do(tmp, "hnswlib")
    there(tmp, vectors, [number * 2 for number in range(COUNT)])


def test_sqlite_vec(tmp, vectors):
    """vec0 keeps a float32 vector as a blob of its bytes."""
    with sqlite3.connect(tmp / "docs.db") as base:
        base.execute("CREATE TABLE docs (embedding BLOB)")
        base.executemany("INSERT INTO docs (rowid, embedding) VALUES (?, ?)",
                         [(number + 1, row.tobytes()) for number, row in enumerate(vectors)])
    base.close()
    do(tmp, "sqlite-vec")
    there(tmp, vectors, range(1, COUNT + 1))


def test_pgvector(tmp, vectors):
    """psql puts quotes around what holds commas; a vector is written with its shortest digits."""
    lines = [f'{number},"[{",".join(str(x) for x in row)}]"'
             for number, row in enumerate(vectors[:500])]
    (tmp / "table.csv").write_text("id,embedding\n" + "\n".join(lines) + "\n")
    (tmp / "psql").write_text("#!/bin/sh\nset -e\n[ \"$1\" = -c ]\ncase $2 in\n"
                              "'COPY '*' TO STDOUT (FORMAT csv, HEADER)') cat table.csv ;;\n"
                              "*) exit 1 ;;\nesac\n")
    (tmp / "psql").chmod(0o755)
    do(tmp, "pgvector")
    there(tmp, vectors[:500])


def test_chroma(tmp, vectors):
    do(tmp, "Chroma")
    there(tmp, vectors)
    assert (tmp / "keys.txt").read_text().splitlines() == KEYS


class Qdrant(http.server.BaseHTTPRequestHandler):
    """Its answer to POST /collections/NAME/points/scroll."""

    vectors = None

    def do_POST(self):
        want = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/collections/docs/points/scroll"
        assert want["with_vector"] is True and want["with_payload"] is False
        first = want["offset"] or 0
        after = first + want["limit"]
        points = [{"id": first + number, "payload": None, "vector": row.tolist()}
                  for number, row in enumerate(self.vectors[first:after])]
        answer = json.dumps({"result": {
            "points": points, "next_page_offset": after if after < len(self.vectors) else None},
            "status": "ok", "time": 0.001}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_qdrant(tmp, vectors):
    Qdrant.vectors = vectors
    with http.server.HTTPServer(("127.0.0.1", 0), Qdrant) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            do(tmp, "Qdrant", change=lambda text: text.replace(
                "localhost:6333", f"127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
    there(tmp, vectors)


def test_others(tmp, vectors):
    with open(tmp / "docs.jsonl", "w", encoding="utf-8") as file:
        for key, row in zip(KEYS, vectors):
            file.write(json.dumps({"_id": key, "metadata": {"a": [1, 2]},
                                   "values": row.tolist()}) + "\n")
    do(tmp, "Weaviate, Pinecone, Elasticsearch and others")
    there(tmp, vectors)
    assert (tmp / "keys.txt").read_text().splitlines() == KEYS


def test_each_section_is_tried():
    found = sections(PAGE)
    assert list(found) == ["Hugging Face", "sentence-transformers", "gensim", "faiss", "hnswlib",
                        "sqlite-vec", "pgvector", "Chroma", "Qdrant",
                        "Weaviate, Pinecone, Elasticsearch and others"]
    assert [name for name in found if len(found[name]) != 1] == ["Hugging Face", "faiss"]
