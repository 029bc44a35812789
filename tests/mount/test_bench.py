"""tools/bench --nearest in small: it measures what it says it does, and its goals can be missed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness

SOURCE = Path(os.environ.get("QUIVERFS_SOURCE") or Path(__file__).resolve().parents[2])
BUILD = Path(os.environ.get("QUIVERFS_BUILD") or Path(harness.QUIVERFS).resolve().parents[1])
BENCH = SOURCE / "tests/bench"
sys.path.insert(0, str(BENCH))

import nearest  # noqa: E402 (found by the line before)
import nearest_goals  # noqa: E402
from host import BenchError  # noqa: E402
from nearest_goals import BYTES, FAISS, LIBRARY, Goal  # noqa: E402
from nearest_worker import recall  # noqa: E402
from results import Results  # noqa: E402

COUNT = 12_000
ROUNDS = 2
# What may not be installed, or not be there.
MAY_LACK = ("left out: faiss", "left out: hnswlib", "left out: sqlite-vec", "GloVe left out")
ALL_ARE_COMPARED = "no help: all are compared"  # without clusters


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What a run of all parts has written: its words, and its JSON."""
    folder = tmp_path_factory.mktemp("bench")
    if not (BUILD / "tests/bench/read_bytes.so").exists():
        pytest.skip("the build folder has no workers of the benchmark")
    done = subprocess.run(
        [sys.executable, BENCH / "bench.py", "--build", BUILD, "--nearest", "--quick", "--count",
         str(COUNT), "--rounds", str(ROUNDS), "--dir", folder, "--output", folder / "said"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads((folder / "said.json").read_text())
    assert sorted(os.listdir(folder)) == ["said.json"]
    return done.stdout, said


def rows_of(measured):
    return {(row["row"], row["system"]): row for row in measured[1]["results"][0]["rows"]}


def test_nothing_of_ours_is_left_out(measured):
    notes = measured[1]["results"][0]["notes"]
    assert [note for note in notes
            if not note.startswith(MAY_LACK) and not note.endswith(ALL_ARE_COMPARED)] == []


def test_each_row_has_a_value_a_round(measured):
    rows = rows_of(measured)
    for dtype, dim in nearest_goals.SHAPES[:2]:
        for threads in (1, min(2, len(os.sched_getaffinity(0)))):
            for count in (1, nearest_goals.MANY_QUESTIONS):
                name = nearest_goals.exact_row(count, f"{dtype} x {dim}", threads)
                for system in (LIBRARY, BYTES):
                    row = rows[name, system]
                    assert len(row["values"]) == ROUNDS and min(row["values"]) > 0, name
                    assert all(said["cpu"] > 0 for said in row["details"]), name
    for part in ("p50", "p99", "p999"):
        for system in (nearest_goals.QUIET, nearest_goals.ASKED, nearest_goals.READER):
            assert len(rows[nearest_goals.beside_row(part), system]["values"]) == ROUNDS
    for system in (nearest_goals.FILES, nearest_goals.GET, nearest_goals.MAP, nearest_goals.MODULE):
        for name in nearest_goals.MANY_ROWS:
            assert len(rows[name, system]["values"]) == ROUNDS


def test_the_index_is_measured(measured):
    rows = rows_of(measured)
    for kind in ("isotropic", "clustered", "duplicates"):
        for part in nearest_goals.INDEX_PARTS:
            assert (f"{kind}, {COUNT:,} vectors: {part}", nearest_goals.INDEX) in rows


def test_goals_are_judged_and_printed(measured):
    output, said = measured
    assert all(one["work"] in output for one in said["targets"])
    works = [one["work"] for one in said["targets"]]
    assert any(BYTES in work for work in works)
    assert any("p99.9" in work for work in works)
    assert any("recall" in work for work in works)


def found_with(row, **times):
    found = Results(128, 1000)
    found.add_row(row, "time", None)
    for system, values in times.items():
        for turn, value in enumerate(values):
            found.add(row, system, turn, value, {"cpu": value})
    return found


@pytest.mark.parametrize("ours, reached", [(14, True), (15, False)])
def test_a_goal_is_missed_where_it_takes_too_long(ours, reached):
    row = nearest_goals.exact_row(1, "f4 x 128", 1)
    found = found_with(row, **{LIBRARY: [ours] * 3, BYTES: [10] * 3})
    verdict, = nearest_goals.judge(found)
    assert verdict["reached"] is reached
    assert verdict["median"] == verdict["cpu"]["median"] == ours / 10


@pytest.mark.parametrize("theirs, reached", [(30, True), (29, False)])
def test_a_goal_is_missed_where_the_peer_is_too_fast(theirs, reached):
    row = nearest_goals.exact_row(nearest_goals.MANY_QUESTIONS, "f4 x 128", 1)
    found = found_with(row, **{LIBRARY: [10] * 3, FAISS: [theirs] * 3})
    assert [one["reached"] for one in nearest_goals.judge(found)] == [reached]


def test_two_processors_are_counted_as_two():
    one, two = (nearest_goals.exact_row(1, "f4 x 128", threads) for threads in (1, 2))
    found = found_with(one, **{LIBRARY: [20]})
    found.add_row(two, "time", None)
    found.add(two, LIBRARY, 0, 10, {"cpu": 20})
    goal = Goal("", two, LIBRARY, LIBRARY, least=1.8, peer_row=one)
    assert nearest_goals.ratio(found, goal, "ns").median == 2
    assert nearest_goals.ratio(found, goal, "cpu").median == 2


def test_who_answers_something_else_is_found():
    search = nearest.Search.__new__(nearest.Search)
    search.compare_answers("row", {LIBRARY: {"ids": [*range(10)]}, FAISS: {"ids": [*range(1, 11)]}})
    with pytest.raises(BenchError, match="faiss does not find"):
        search.compare_answers("row", {LIBRARY: {"ids": [*range(10)]},
                                       FAISS: {"ids": [*range(2, 12)]}})


def test_of_equal_distances_any_counts_for_the_recall():
    assert recall([[0, 1, 1]], [[0, 1, 1]]) == 1
    assert recall([[0, 1, 2]], [[0, 1, 1]]) == pytest.approx(2 / 3)
