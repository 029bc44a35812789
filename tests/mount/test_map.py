"""quiverfs map: places compared with NumPy, in double, and what is written beside them."""

import base64
import csv
import gzip
import json
import os
import re
import xml.etree.ElementTree

import numpy
import pytest

from conftest import DATA
from format_files import ID_MAX
from harness import quiverfs, run
from test_search import distances, numbers, random_rows

DIM = 16


def make(tmp, rows, dtype="f4", dim=None, ids=None, metric="l2", name="store"):
    """A store with these rows, which is not mounted."""
    store = tmp / name
    dim = dim or rows.shape[1]
    quiverfs("create", store, "--dim", dim, "--dtype", dtype, "--metric", metric)
    numpy.save(tmp / "rows.npy", rows)
    words = []
    if ids is not None:
        numpy.save(tmp / "ids.npy", numpy.asarray(ids, "u8"))
        words = ["--ids", tmp / "ids.npy"]
    if len(rows) > 0:
        quiverfs("import", store, tmp / "rows.npy", *words)
    return store


def refused(*words, says, status=1, **options):
    done = quiverfs(*words, status=status, **options)
    for part in says:
        assert str(part) in done.stderr, done.stderr
    assert "Sanitizer" not in done.stderr


def filled(stores, tmp, rows):
    """A store that can be mounted."""
    store = stores.create(dim=rows.shape[1])
    numpy.save(tmp / "rows.npy", rows)
    quiverfs("import", store.path, tmp / "rows.npy")
    return store


def table(store, out, *words, **options):
    """IDs, places, and the rows of the file."""
    done = quiverfs("map", store, "-o", out, *words, **options)
    with open(out, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places = numpy.array([[float(row["x"]), float(row["y"])] for row in rows]).reshape(-1, 2)
    return [int(row["id"]) for row in rows], places, rows, done


def principal(wide):
    """Places in the two widest directions, the greatest element of each being positive, and the variances."""
    centred = wide - wide.mean(axis=0)
    values, vectors = numpy.linalg.eigh(centred.T @ centred / len(wide))
    directions = vectors.T[::-1][:2]
    for direction in directions:
        direction *= numpy.sign(direction[numpy.abs(direction).argmax()])
    return centred @ directions.T, values[::-1]


def spread(rng, count, dim):
    """Numbers whose widest directions are far from equally wide."""
    random = numpy.random.default_rng(rng.randrange(2**32))
    wide = random.normal(size=(count, dim)) * 4.0 / (1 + numpy.arange(dim))
    turn, _ = numpy.linalg.qr(random.normal(size=(dim, dim)))
    return wide @ turn


def as_dtype(wide, dtype):
    if dtype == "bf2":
        return (wide.astype("<f4").view("<u4") >> 16).astype("<u2")
    if dtype == "b1":
        return numpy.packbits(wide > 0, axis=1)
    if dtype in ("i1", "u1"):
        info = numpy.iinfo(dtype)
        return numpy.clip(numpy.rint(wide * 12) + (100 if dtype == "u1" else 0), info.min,
                          info.max).astype(dtype)
    return wide.astype("<" + dtype)


# ---- places ---------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "u1", "bf2", "b1"])
def test_places_are_those_of_numpy(tmp, rng, dtype, metric):
    rows = as_dtype(spread(rng, 700, DIM) + 0.3, dtype)
    wide = numbers(rows, dtype)
    if metric == "cosine":
        keep = (wide != 0).any(axis=1)
        rows, wide = rows[keep], wide[keep]
        wide = wide / numpy.linalg.norm(wide, axis=1, keepdims=True)
    ids = sorted(rng.sample(range(10**6), len(rows)))
    store = make(tmp, rows, dtype, DIM, ids, metric)
    found, places, _, done = table(store, tmp / "map.csv")
    wanted, _ = principal(wide)
    assert found == ids and done.stderr == ""
    assert numpy.abs(places - wanted).max() < 1e-7 * numpy.abs(wanted).max()


def test_all_vectors_count_though_some_are_drawn(tmp, rng):
    rows = as_dtype(spread(rng, 3000, DIM), "f4")
    store = make(tmp, rows)
    found, places, _, done = table(store, tmp / "map.csv", "--max", 200)
    wanted, _ = principal(rows.astype("f8"))
    assert "200 of 3000 vectors are drawn" in done.stderr
    assert found == sorted(found) and len(set(found)) == 200
    assert all(15 * i <= at < 15 * (i + 1) for i, at in enumerate(found))
    assert numpy.abs(places - wanted[found]).max() < 1e-7 * numpy.abs(wanted).max()
    assert (tmp / "map.csv").read_bytes() == again(store, tmp, "--max", 200)


def again(store, tmp, *words):
    quiverfs("map", store, "-o", tmp / "again.csv", *words)
    return (tmp / "again.csv").read_bytes()


def test_many_dimensions_by_passes(tmp, rng):
    """Beyond 1024 the directions are found without the matrix of covariances."""
    random = numpy.random.default_rng(rng.randrange(2**32))
    inner = random.normal(size=(300, 12)) * numpy.array([9, 6] + [2] * 10)
    rows = (inner @ random.normal(size=(12, 1100)) / 30 +
            random.normal(size=(300, 1100)) * 0.02 + 50).astype("f4")
    store = make(tmp, rows)
    _, places, _, _ = table(store, tmp / "map.csv", "--clusters", 0)
    wanted, _ = principal(rows.astype("f8"))
    assert numpy.abs(places - wanted).max() < 1e-4 * numpy.abs(wanted).max()


@pytest.mark.parametrize("dim", [1, 2, 3, 2000, 65536])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_vectors_of_any_dimension(tmp, rng, count, dim):
    rows = numpy.random.default_rng(rng.randrange(2**32)).normal(size=(count, dim)).astype("f4")
    store = make(tmp, rows, dim=dim)
    found, places, _, _ = table(store, tmp / "map.csv")
    assert found == list(range(count)) and numpy.isfinite(places).all()
    if dim == 1 and count > 0:
        assert places[:, 0] == pytest.approx(rows[:, 0].astype("f8") - rows[:, 0].astype("f8").mean(), abs=1e-12)
        assert (places[:, 1] == 0).all()
    if count in (1, 2):
        apart = numpy.linalg.norm(rows[0].astype("f8") - rows[-1].astype("f8"))
        assert abs(places[0, 0] - places[-1, 0]) == pytest.approx(apart, rel=1e-9, abs=1e-9)
        assert numpy.abs(places[:, 1]).max() < 1e-6 * max(apart, 1)
    if count == 3:  # three points lie in one plane
        for i in range(3):
            wanted = numpy.linalg.norm(rows[i].astype("f8") - rows[i - 1].astype("f8"))
            assert numpy.linalg.norm(places[i] - places[i - 1]) == pytest.approx(wanted, rel=1e-6)
    for name in ("map.html", "map.svg"):
        quiverfs("map", store, "-o", tmp / name)
    check_svg(tmp / "map.svg", count)
    assert page(tmp / "map.html")["count"] == count


def test_vectors_that_are_all_the_same(tmp):
    store = make(tmp, numpy.full((40, 5), 7.5, "f4"))
    _, places, rows, _ = table(store, tmp / "map.csv")
    assert (places == 0).all()
    assert {row["colour"] for row in rows} == {"cluster 1"}
    quiverfs("map", store, "-o", tmp / "map.svg")
    check_svg(tmp / "map.svg", 40)


def test_what_has_no_place_is_counted(tmp, rng):
    rows = as_dtype(spread(rng, 200, 6), "f8")
    rows[3, 2] = numpy.nan
    rows[7, 0] = numpy.inf
    rows[8, 5] = 1e200
    rows[9] = 0
    store = make(tmp, rows, "f8")
    left = [i for i in range(200) if i not in (3, 7, 8)]
    found, places, _, done = table(store, tmp / "map.csv")
    wanted, _ = principal(rows[left])
    assert found == left and "3 vectors have a NaN or an infinity" in done.stderr
    assert numpy.abs(places - wanted).max() < 1e-7 * numpy.abs(wanted).max()
    found, _, _, done = table(store, tmp / "map.csv", "--metric", "cosine")
    assert found == [i for i in left if i != 9]
    assert "1 vectors hold only zeros" in done.stderr


def test_removed_vectors_are_in_none(stores, tmp, rng):
    rows = as_dtype(spread(rng, 300, DIM), "f4")
    rows[:50] += 1000
    mount = stores.mount(filled(stores, tmp, rows))
    for vector in range(50):
        mount.path(vector).unlink()
    found, places, _, _ = table(mount.point, tmp / "map.csv")
    wanted, _ = principal(rows[50:].astype("f8"))
    assert found == list(range(50, 300))
    assert numpy.abs(places - wanted).max() < 1e-7 * numpy.abs(wanted).max()


# ---- where the vectors are ---------------------------------------------------------------


def test_a_mount_a_snapshot_and_a_store_have_one_map(stores, tmp, rng):
    rows = as_dtype(spread(rng, 200, DIM), "f4")
    store = filled(stores, tmp, rows)
    want = {}
    for name in ("map.csv", "map.html", "map.svg"):
        quiverfs("map", store.path, "-o", tmp / name)
        want[name] = (tmp / name).read_text()
    quiverfs("snapshot", "create", store.path, "old")
    mount = stores.mount(store)
    for name, text in want.items():
        quiverfs("map", mount.point, "-o", tmp / name)
        assert body(tmp / name) == without_name(text)
    mount.path(5).unlink()
    quiverfs("map", f"{store.path}@old", "-o", tmp / "map.csv")
    assert (tmp / "map.csv").read_text() == want["map.csv"]


def without_name(text):
    """What it is called stands in it."""
    return re.sub(r'("name": ".*?"|<title>.*?</title>|<text x="28" y="38".*?</text>)', "", text)


def body(path):
    return without_name(path.read_text())


def test_an_ordinary_user_sees_what_is_his(tmp, rng):
    store = make(tmp, as_dtype(spread(rng, 20, 4), "f4"))
    os.chmod(store, 0)
    try:
        if os.geteuid() != 0:
            refused("map", store, "-o", tmp / "map.svg", says=["Permission denied"])
            assert not (tmp / "map.svg").exists()
    finally:
        os.chmod(store, 0o700)
    quiverfs("map", store, "-o", tmp / "map.svg")
    assert os.stat(tmp / "map.svg").st_uid == os.geteuid()


# ---- what is written -----------------------------------------------------------------------


def page(path):
    """What the page is told."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="meta">(.*?)</script>', text, re.DOTALL)[1])


def data(path, name, kind):
    text = path.read_text(encoding="utf-8")
    found = re.search(rf'id="data-{name}">(.*?)</script>', text, re.DOTALL)[1]
    return numpy.frombuffer(base64.b64decode(found, validate=True), kind)


def check_svg(path, count):
    root = xml.etree.ElementTree.parse(path).getroot()
    marks = [mark for mark in root.iter() if mark.get("class") is not None
             and re.fullmatch(r"[gs]\d+|n", mark.get("class"))]
    points = root.find("{http://www.w3.org/2000/svg}g")
    assert len(list(points)) == count
    return root, marks


def test_the_page_has_neighbours_and_places(tmp, rng):
    rows = as_dtype(spread(rng, 150, DIM), "f4")
    ids = sorted(rng.sample(range(2**40), 149)) + [ID_MAX]
    store = make(tmp, rows, ids=ids)
    quiverfs("map", store, "-o", tmp / "map.html", "--neighbours", 5)
    meta = page(tmp / "map.html")
    assert meta["count"] == meta["used"] == 150 and meta["idBytes"] == 8 and meta["k"] == 5
    assert list(data(tmp / "map.html", "ids", "<u8")) == ids
    near = data(tmp / "map.html", "near", "<u4").reshape(150, 5)
    far = data(tmp / "map.html", "distances", "<f4").reshape(150, 5)
    for i in range(150):
        exact = distances(rows[i], rows, "l2", "f4")
        exact[i] = numpy.inf
        assert far[i] == pytest.approx(numpy.sort(exact)[:5], rel=1e-5)
        assert exact[near[i]] == pytest.approx(far[i], rel=1e-5)
    places = data(tmp / "map.html", "places", "<u2").reshape(150, 2) / 65535
    wanted, _ = principal(rows.astype("f8"))
    low, span = wanted.min(axis=0), (wanted.max(axis=0) - wanted.min(axis=0)).max()
    assert numpy.abs(places - (wanted - low) / span).max() < 1e-4


def test_neighbours_that_are_not_drawn(tmp, rng):
    rows = as_dtype(spread(rng, 400, DIM), "f4")
    store = make(tmp, rows)
    done = quiverfs("map", store, "-o", tmp / "map.html", "--max", 40, "--neighbours-of", 10)
    assert "neighbours were found for 10 of 40 vectors" in done.stderr
    ids, others, asked = (data(tmp / "map.html", name, "<u4") for name in ("ids", "others", "asked"))
    near = data(tmp / "map.html", "near", "<u4").reshape(10, 8)
    known = numpy.concatenate([ids, others])
    assert len(set(known)) == len(known) and len(asked) == 10
    for at, list_ in zip(asked, near):
        exact = distances(rows[ids[at]], rows, "l2", "f4")
        exact[ids[at]] = numpy.inf
        assert set(known[list_]) == set(numpy.argsort(exact)[:8])


def test_a_page_asks_nobody_and_runs_no_label(tmp, rng):
    rows = as_dtype(spread(rng, 30, 4), "f4")
    store = make(tmp, rows, name="<b>&amp; 'store'\"")
    labels = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "]]>&lt;", "\u2028",
              "'\"\\", "a" * 5000, "é" * 300, "<!--", "\t\x1b[31m"]
    (tmp / "words.txt").write_bytes("\n".join(labels).encode() + b"\n\xff\xfe<x>\n" + b"w\n" * 20)
    (tmp / "c.csv").write_text("id,kind\n" + "".join(f'{i},"<i>{i % 3}</i>"\n' for i in range(30)))
    words = ["--words", tmp / "words.txt", "--color", f"{tmp}/c.csv:kind"]
    quiverfs("map", store, "-o", tmp / "map.html", *words)
    text = (tmp / "map.html").read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 10
    assert not re.search(r"<img|<i>|<b>|<!--|alert\(1\)</script", text)
    code = re.sub(r'<script (type="application|id="meta).*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=|url\(|@import|fetch\(|XMLHttp|WebSocket|innerHTML|eval\(", code)
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    meta = page(tmp / "map.html")
    assert meta["labels"][:5] == labels[:5] and meta["names"][0].startswith("<i>")
    assert meta["labels"][5] == "a" * 200 and meta["labels"][6] == "é" * 100
    assert meta["name"] == store.name and meta["labels"][9] == "??<x>"
    quiverfs("map", store, "-o", tmp / "map.svg", *words)
    root, _ = check_svg(tmp / "map.svg", 30)
    assert root.find("{http://www.w3.org/2000/svg}title").text == store.name
    assert not any(element.tag.endswith(("script", "image", "b", "i")) for element in root.iter())


def test_a_picture_shows_some_of_many(tmp, rng):
    store = make(tmp, as_dtype(spread(rng, 25000, 3), "f4"))
    done = quiverfs("map", store, "-o", tmp / "map.svg")
    assert "20000 of 25000 vectors are drawn" in done.stderr
    check_svg(tmp / "map.svg", 20000)


# ---- colours -------------------------------------------------------------------------------


def colours(store, tmp, *words, **options):
    _, _, rows, done = table(store, tmp / "map.csv", *words, **options)
    return [row["colour"] for row in rows], done


def write_values(path, ids, values):
    """A table of another column, the IDs and these values, in the format that its name tells."""
    text = ""
    if ".jsonl" in path.name:
        text = "".join(json.dumps({"other": [1], "id": vector, "v": value}) + "\n"
                       for vector, value in zip(ids, values))
    else:
        between = "\t" if ".tsv" in path.name else ","
        text = between.join(["other", "v", "id"]) + "\n" + "".join(
            between.join(["x", "" if value is None else f'"{value}"' if isinstance(value, str)
                          else str(value), str(vector)]) + "\n" for vector, value in zip(ids, values))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return f"{path}:v"


@pytest.mark.parametrize("name", ["c.csv", "c.tsv", "c.jsonl", "c.csv.gz", "c.jsonl.gz"])
def test_colours_of_a_column(tmp, rng, name):
    ids = sorted(rng.sample(range(10**9), 60))
    store = make(tmp, as_dtype(spread(rng, 60, 4), "f4"), ids=ids)
    values = [rng.choice(["red", "green", 'a "quoted, one"', None]) if name.find("csv") < 0
              else rng.choice(["red", "green", "blue, too", None]) for _ in ids]
    order = list(range(60))
    rng.shuffle(order)
    given = write_values(tmp / name, [ids[i] for i in order] + [10**12],
                         [values[i] for i in order] + ["nobody"])
    if name == "c.tsv":
        values = [value.replace('"', "") if value else value for value in values]
        given = write_values(tmp / name, ids, values)
    found, done = colours(store, tmp, "--color", given)
    assert found == [value or "" for value in values]
    assert f"no value for {values.count(None)} of 60" in done.stderr or None not in values


def test_numbers_are_a_scale_and_few_whole_ones_are_classes(tmp, rng):
    store = make(tmp, as_dtype(spread(rng, 50, 4), "f4"))
    numbers_ = [rng.uniform(-3, 9) for _ in range(50)]
    given = write_values(tmp / "c.csv", range(50), numbers_)
    found, _ = colours(store, tmp, "--color", given)
    assert [float(text) for text in found] == numbers_
    quiverfs("map", store, "-o", tmp / "map.html", "--color", given)
    meta = page(tmp / "map.html")
    assert meta["colours"] == "scale" and meta["least"] == pytest.approx(min(numbers_))
    shares = data(tmp / "map.html", "colours", "<u2") / 65534
    wanted = (numpy.array(numbers_) - min(numbers_)) / (max(numbers_) - min(numbers_))
    assert numpy.abs(shares - wanted).max() < 1e-4
    given = write_values(tmp / "c.csv", range(50), [i % 11 for i in range(50)])
    quiverfs("map", store, "-o", tmp / "map.html", "--color", given)
    assert page(tmp / "map.html")["names"] == [str(i) for i in range(11)]
    given = write_values(tmp / "c.csv", range(50), [f"kind {i % 30}" for i in range(50)])
    quiverfs("map", store, "-o", tmp / "map.html", "--color", given)
    meta = page(tmp / "map.html")
    assert meta["names"][24] == "6 others" and meta["other"] == 24
    quiverfs("map", store, "-o", tmp / "map.svg", "--color", given)
    check_svg(tmp / "map.svg", 50)


def test_rows_that_count_up_and_rows_by_their_keys(tmp, rng):
    store = make(tmp, as_dtype(spread(rng, 6, 4), "f4"), ids=[10, 11, 12, 13, 14, 15])
    (tmp / "lines.txt").write_text("a\nb\n\na\nb\nc\n")
    found, done = colours(store, tmp, "--color", tmp / "lines.txt", "--start-id", 10)
    assert found == ["a", "b", "", "a", "b", "c"] and "no value for 1 of 6" in done.stderr
    (tmp / "words.txt").write_text("king\nqueen\nking\nman\nwoman\n7\n")
    (tmp / "c.csv").write_text("word;of\nking;royal\nqueen;royal\n7;number\nboat;thing\n")
    words = ["--color", f"{tmp}/c.csv:of", "--words", tmp / "words.txt", "--start-id", 10]
    found, _ = colours(store, tmp, *words)
    assert found == ["royal", "royal", "royal", "", "", "number"]
    _, _, rows, _ = table(store, tmp / "map.csv", *words)
    assert [row["label"] for row in rows] == "king queen king man woman 7".split()
    refused("map", store, "-o", tmp / "map.csv", "--color", f"{tmp}/c.csv:of", says=["--keys"])


def test_quotes_in_a_table(tmp, rng):
    store = make(tmp, as_dtype(spread(rng, 4, 4), "f4"))
    (tmp / "c.csv").write_text('id,v,"a\nb"\n0,5" pipe,x\n1,"two\nlines",y\n2,"say ""no""",z\n3,end,"\n"\n')
    found, _ = colours(store, tmp, "--color", f"{tmp}/c.csv:v")
    assert found == ['5" pipe', "two\nlines", 'say "no"', "end"]


def test_clusters_are_groups_that_lie_together(tmp, rng):
    random = numpy.random.default_rng(rng.randrange(2**32))
    kind = random.permutation(numpy.repeat([0, 1, 2], [60, 40, 20]))
    rows = (random.normal(size=(3, DIM))[kind] * 30 + random.normal(size=(120, DIM))).astype("f4")
    store = make(tmp, rows)
    found, _ = colours(store, tmp, "--clusters", 3)
    assert found == [f"cluster {k + 1}" for k in kind]
    (tmp / "words.txt").write_text("".join(f"w{k}\n" for k in kind))
    found, _ = colours(store, tmp, "--clusters", 3, "--words", tmp / "words.txt")
    assert found == [f"{k + 1}: w{k}, w{k}, w{k}" for k in kind]
    _, _, lines, _ = table(store, tmp / "map.csv", "--clusters", 0)
    assert "colour" not in lines[0]


def test_a_table_that_is_wrong(tmp, rng):
    store = make(tmp, as_dtype(spread(rng, 6, 4), "f4"))
    out = tmp / "map.csv"
    for name, text, says in (
            ("c.csv", "id,b\n1,2\n", ["no column 'v'", "id, b"]), ("c.csv", "id,v\n1,2,3\n", ["line 2"]),
            ("c.csv", 'id,v\n1,"2\n', ["quote"]), ("c.jsonl", '{"id": 1, "v": 2}\n[1]\n', ["line 2"]),
            ("c.jsonl", "{", ["line 1"])):
        (tmp / name).write_text(text)
        refused("map", store, "-o", out, "--color", f"{tmp}/{name}:v", says=[name, *says])
    refused("map", store, "-o", out, "--color", tmp / "none.csv:v", says=["none.csv", "No such file"])
    refused("map", store, "-o", out, "--color", tmp / "c.csv", status=2, says=["FILE:COLUMN"])
    assert not out.exists()
    (tmp / "c.csv").write_text("")
    found, _ = colours(store, tmp, "--color", f"{tmp}/c.csv:v")
    assert found == [""] * 6


# ---- the command ---------------------------------------------------------------------------


def test_what_is_refused(tmp, rng):
    store = make(tmp, as_dtype(spread(rng, 6, 4), "f4"))
    (tmp / "words.txt").write_text("a\n" * 6)
    os.link(tmp / "words.txt", tmp / "words.csv")
    for words, says in ((["-o", "map.png"], ".html, .svg or .csv"), ([], "-o FILE is missing"),
                        (["-o", "x.svg", "--method", "mds"], "pca, umap or tsne"),
                        (["-o", "x.svg", "--clusters", "25"], "from 0 to 24"),
                        (["-o", "x.svg", "--max", "0"], "from 1 to"),
                        (["-o", "x.svg", "--id-column", "id"], "--color")):
        refused("map", store, *words, status=2, says=[says])
    refused("map", store, "-o", store / "map.svg", says=["store"])
    refused("map", store, "-o", tmp / "words.csv", "--words", tmp / "words.txt", says=["words"])
    assert (tmp / "words.txt").read_text() == "a\n" * 6
    refused("map", store, "-o", tmp / "x.svg", "--metric", "hamming", says=["b1 or u1"])
    refused("map", tmp / "none", "-o", tmp / "x.svg", says=["none"])
    assert not (tmp / "x.svg").exists()


def test_a_file_that_is_there_keeps_its_mode(tmp, rng):
    store = make(tmp, as_dtype(spread(rng, 6, 4), "f4"))
    (tmp / "map.svg").write_text("old")
    os.chmod(tmp / "map.svg", 0o604)
    (tmp / "link.svg").symlink_to("map.svg")
    quiverfs("map", store, "-o", tmp / "link.svg")
    assert (tmp / "link.svg").is_symlink() and os.stat(tmp / "map.svg").st_mode & 0o7777 == 0o604
    check_svg(tmp / "map.svg", 6)


def python_with(tmp, **modules):
    """A folder for PATH whose python3 finds these modules, and no other of their names."""
    folder = tmp / "bin"
    (folder / "lib").mkdir(parents=True)
    for name, text in modules.items():
        path = folder / "lib" / (name.replace(".", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "python3").write_text(
        f'#!/bin/sh\nPYTHONPATH={folder}/lib exec /usr/bin/python3 "$@"\n')
    (folder / "python3").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1"}


UMAP = """import numpy
class UMAP:
    def __init__(self, **options):
        assert options["n_components"] == 2 and options["random_state"] == 0
    def fit_transform(self, points):
        assert points.dtype == numpy.float32
        return numpy.column_stack([points[:, 0] * 2, points[:, 1] + 1])
"""


def test_umap_is_handed_to_its_library(tmp, rng):
    rows = as_dtype(spread(rng, 500, DIM), "f4")
    store = make(tmp, rows)
    _, places, _, _ = table(store, tmp / "map.csv", "--method", "umap", env=python_with(tmp, umap=UMAP))
    wanted, _ = principal(rows.astype("f8"))
    assert places == pytest.approx(numpy.column_stack([wanted[:, 0] * 2, wanted[:, 1] + 1]), abs=1e-4)


@pytest.mark.parametrize("module, says", [
    ("raise ImportError", ["pip install umap-learn", "--method pca"]),
    ("class UMAP:\n def __init__(self, **_): raise ValueError('no luck')", ["no luck", "failed"])])
def test_umap_without_its_library(tmp, rng, module, says):
    store = make(tmp, as_dtype(spread(rng, 20, 4), "f4"))
    refused("map", store, "-o", tmp / "map.svg", "--method", "umap", says=says,
            env=python_with(tmp, umap=module))
    assert not (tmp / "map.svg").exists()


def test_tsne_of_scikit_learn(tmp, rng):
    if run("/usr/bin/python3", "-c", "import sklearn.manifold", status=None).returncode != 0:
        pytest.skip("python3-sklearn is not installed")
    random = numpy.random.default_rng(rng.randrange(2**32))
    kind = numpy.repeat([0, 1], 30)
    rows = (random.normal(size=(2, DIM))[kind] * 30 + random.normal(size=(60, DIM))).astype("f4")
    store = make(tmp, rows)
    _, places, _, _ = table(store, tmp / "map.csv", "--method", "tsne", env=python_with(tmp))
    middles = [places[kind == k].mean(axis=0) for k in range(2)]
    nearer = numpy.linalg.norm(places - middles[1], axis=1) < numpy.linalg.norm(places - middles[0], axis=1)
    assert (nearer == kind).all()


def test_words_of_glove(glove, tmp):
    store = make(tmp, numpy.load(glove), metric="cosine")
    words = (DATA / "glove-twitter-25d.words.txt").read_text().splitlines()
    quiverfs("map", store, "-o", tmp / "map.html", "--words", DATA / "glove-twitter-25d.words.txt",
             "--neighbours-of", 2000)
    meta = page(tmp / "map.html")
    assert meta["labels"] == words and len(meta["names"]) == 8
    _, shares = principal(unit(numpy.load(glove).astype("f8")))
    told = re.findall(r"([\d.]+) %", meta["notes"][0])
    assert [float(one) for one in told] == pytest.approx(100 * shares[:2] / shares.sum(), abs=0.06)


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)
