"""The examples of quiverfs-examples(7), taken off the page and run on a mount."""

import os
import re
import shutil
import struct

import pytest

from harness import let_go, quiverfs, run
from man_pages import SOURCE, program_folder, python3, sections

PAGE = SOURCE / "tools/man/quiverfs-examples.7"
README = SOURCE / "README.md"
DIM = 25
# The file that an example goes into, and the commands that run it: programs that are
# looked for, then the rest.
LANGUAGES = {
    "Shell": ("example.sh", [["sh", "example.sh"]]),
    "awk": ("example.sh", [["sh", "example.sh"]]),
    "Python": ("example.py", [["python3", "example.py"]]),
    "NumPy": ("example.py", [["python3", "-c", "import numpy"], ["python3", "example.py"]]),
    "C": ("example.c", [["cc", "-Wall", "-Wextra", "-Werror", "-o", "example", "example.c"],
                        ["./example"]]),
    "Rust": ("example.rs", [["rustc", "--version"], ["rustc", "-D", "warnings", "example.rs"], ["./example"]]),
    "Go": ("example.go", [["go", "run", "example.go"]]),
    "JavaScript": ("example.js", [["node", "example.js"]]),
    "Java": ("Example.java", [["javac", "-Werror", "Example.java"], ["java", "Example"]]),
    "R": ("example.R", [["Rscript", "--vanilla", "example.R"]]),
    "Perl": ("example.pl", [["perl", "example.pl"]]),
    "Ruby": ("example.rb", [["ruby", "-w", "example.rb"]]),
    "All as one array": ("example.py", [["python3", "-c", "import numpy"],
                                        ["python3", "example.py"]]),
    "Many in one commit": ("example.py", [["python3", "example.py"]]),
    "From and to other files": ("example.sh", [["sh", "-e", "example.sh"]]),
    "Parquet and Arrow by pyarrow": ("example.sh", [["python3", "-c", "import pyarrow"],
                                                    ["sh", "-e", "example.sh"]]),
}
ONE = [name for name in LANGUAGES if " " not in name]


def examples():
    return {name: code[0] for name, code in sections(PAGE).items()}


def run_example(name, mnt, folder):
    """What it prints. Skipped where what runs it is not installed."""
    file, commands = LANGUAGES[name]
    text = examples()[name]
    assert "/mnt/q" in text
    (folder / file).write_text(text.replace("/mnt/q", str(mnt.point)))
    environment = {**os.environ, "PATH": f"{program_folder(folder)}:{os.environ['PATH']}",
                   "LC_ALL": "C.UTF-8", "GOCACHE": str(folder / "cache"), "GOPATH": str(folder / "go"),
                   "GO111MODULE": "off"}
    for words in commands:
        words = [python3().get(words[0], words[0]), *words[1:]]
        if not words[0].startswith("./") and not shutil.which(words[0]):
            pytest.skip(f"there is no {words[0]}")
        probing = words[1:2] == ["-c"] or words[1:] == ["--version"]
        done = run(*words, cwd=folder, env=environment, status=None)
        if probing and done.returncode != 0:
            pytest.skip(f"no {name} here: {done.stderr.decode().strip()}")
        assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return done.stdout.decode()


def numbers(text):
    return [float(word) for word in re.findall(r"(?<![\w.])-?\d[\d.]*(?:e[-+]?\d+)?", text)]


def of_the_readme(heading):
    """The blocks of code below a heading."""
    part = README.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL)


def test_the_first_hour_of_the_readme(tmp, io_uring):
    """The five minutes, the everyday jobs and the lines of Python, as they stand there."""
    if not os.path.exists("/dev/fuse") or not shutil.which("rsync"):
        pytest.skip("there is no /dev/fuse, or no rsync")
    first, = of_the_readme("Five minutes")
    jobs, python = of_the_readme("Everyday jobs")
    environment = {**os.environ, "PATH": f"{program_folder(tmp)}:{os.environ['PATH']}",
                   "PYTHONPATH": str(SOURCE / "tools/python"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = run("bash", "-e", "-c", first, cwd=tmp, env=environment)
        assert done.stderr == b""
        assert b"1,000, dim 768, dtype f4" in done.stdout
        assert len((tmp / "all.jsonl").read_text().splitlines()) == 1000
        done = run("bash", "-e", "-c", jobs, cwd=tmp, env=environment)
        assert done.stderr == b""
        assert b"\n- 7\n" in done.stdout
        assert (tmp / "map.html").stat().st_size > 10_000
        copied = {path.name: path.read_bytes() for path in (tmp / "backup").iterdir()}
        assert copied.keys() == {*map(str, range(1, 1000)), "1000000", *map(str, range(2000, 3000))}
        assert copied["1000000"] == copied["42"] == copied["2042"]
        quiverfs("check", tmp / "COPY")
        if run(python3()["python3"], "-c", "import numpy", status=None).returncode == 0:
            quiverfs("mount", tmp / "STORE", tmp / "MNT")
            ends = "assert some.shape == (3, 768) and (q[5000] == q[1]).all() and ids[0] == 2042\n"
            run(python3()["python3"], "-c", python + ends, cwd=tmp, env=environment)
    finally:
        let_go(tmp / "MNT", status=None)
    quiverfs("check", tmp / "STORE")


def test_each_example_is_run():
    assert list(examples()) == list(LANGUAGES)
    assert len(ONE) >= 10


@pytest.mark.parametrize("name", ONE)
def test_one_vector(name, mnt, rng, tmp_path):
    """Numbers whose sums and doubles are exact in float32, of all magnitudes but large."""
    values = [rng.randrange(-2**12, 2**12) / 2**rng.randrange(8) for _ in range(DIM)]
    mnt.put(42, struct.pack(f"<{DIM}f", *values))
    printed = numbers(run_example(name, mnt, tmp_path))
    if name == "Shell":
        assert struct.pack(f"<{DIM}f", *printed) == mnt.get(42)
        assert mnt.get(43) == mnt.get(42)
    else:
        # R counts what it prints, import says what it did
        assert pytest.approx(sum(values), rel=1e-5) in printed[:2]
        assert mnt.get(43) == struct.pack(f"<{DIM}f", *(2 * value for value in values))
    assert mnt.ids() == {42, 43}


def test_all_as_one_array(mnt, tmp_path):
    for vector in range(20):
        mnt.put(vector, struct.pack(f"<{DIM}f", *[vector] * DIM))
    mnt.path(19).unlink()
    mnt.control("checkpoint", "1")
    assert numbers(run_example("All as one array", mnt, tmp_path)) == [19, 18 * DIM]


def test_many_in_one_commit(mnt, tmp_path):
    before = int(mnt.stats()["batches"])
    assert run_example("Many in one commit", mnt, tmp_path) == ""
    assert mnt.ids() == set(range(100, 200))
    assert mnt.get(123) == struct.pack(f"<{DIM}f", *[123] * DIM)
    assert int(mnt.stats()["batches"]) == before + 1


def test_parquet_by_pyarrow(mnt, tmp_path):
    """Of a file that pyarrow has made."""
    python = python3()["python3"]
    if run(python, "-c", "import pyarrow", status=None).returncode != 0:
        pytest.skip("there is no pyarrow")
    run(python, "-c", "import pyarrow as pa, pyarrow.parquet as pq\n"
                      f"rows = pa.array([[1.5] * {DIM}], pa.list_(pa.float32()))\n"
                      "pq.write_table(pa.table({'vector': rows}), 'in.parquet')", cwd=tmp_path)
    run_example("Parquet and Arrow by pyarrow", mnt, tmp_path)
    assert mnt.ids() == {0}
    assert mnt.get(0) == struct.pack(f"<{DIM}f", *[1.5] * DIM)


def test_from_and_to_other_files(mnt, tmp_path):
    data = {vector: struct.pack(f"<{DIM}f", *[vector / 2] * DIM) for vector in (3, 5, 2**40)}
    for vector, value in data.items():
        mnt.put(vector, value)
    run_example("From and to other files", mnt, tmp_path)
    assert {vector: mnt.get(vector) for vector in mnt.ids()} == data
    made = run("gzip", "-dc", tmp_path / "all.jsonl.gz").stdout
    assert len(made.splitlines()) == 3
    quiverfs("flush", mnt.point)
