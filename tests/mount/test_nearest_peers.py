"""What users of other programs reported of theirs, tried on quiverfs: the answer must be right here."""

import numpy

from harness import quiverfs
from test_search import Truth, blocks, fill, search


def ask(store, tmp, questions, *words):
    numpy.save(tmp / "questions.npy", questions)
    return blocks(search(store, tmp / "questions.npy", *words))


def test_zeros_behind_all_vectors_change_nothing(stores, tmp, rng):
    """15 and 18 dimensions went through other instructions, and gave another order."""
    narrow = numpy.random.default_rng(rng.randrange(2**32)).normal(size=(300, 15)).astype("<f2")
    wide = numpy.hstack([narrow, numpy.zeros((300, 3), "<f2")])
    found = []
    for rows in (narrow, wide):
        store, _ = fill(stores, tmp, rng, rows, "f2", f"dim{rows.shape[1]}", rows.shape[1], range(300))
        found.append(ask(store, tmp, rows[:40]))
    assert [[vector for vector, _ in answer] for answer in found[0]] == \
           [[vector for vector, _ in answer] for answer in found[1]]


def test_hundred_copies_of_each_of_five(stores, tmp, rng):
    """The copies of another one were told for nearest by the inner product."""
    five = numpy.random.default_rng(rng.randrange(2**32)).random((5, 256)).astype("<f4")
    five /= numpy.linalg.norm(five, axis=1, keepdims=True)
    rows = numpy.repeat(five, 100, axis=0)
    store, _ = fill(stores, tmp, rng, rows, name="copies", dim=256, ids=range(500))
    for metric in ("ip", "cosine", "l2"):
        for i, answer in enumerate(ask(store, tmp, five, "--metric", metric, "-k", "20")):
            assert [vector for vector, _ in answer] == list(range(100 * i, 100 * i + 20)), metric


def test_no_vector_is_its_own_second_neighbour(stores, tmp, rng):
    rows = numpy.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], "<f4")
    store, _ = fill(stores, tmp, rng, rows, name="two", dim=5, ids=[0, 1])
    assert ask(store, tmp, rows[:1], "-k", "2") == [[(0, 0.0), (1, 125.0)]]


def test_distances_do_not_depend_on_how_many_ask(stores, tmp, rng):
    """Few and many questions went different ways, and vectors far from the origin lost their digits."""
    rows = numpy.random.default_rng(rng.randrange(2**32)).random((2000, 64)).astype("<f4")
    rows[:, 0] += numpy.arange(2000) / 10 + 1000
    store, truth = fill(stores, tmp, rng, rows, name="many", dim=64, ids=range(2000))
    many = ask(store, tmp, rows[:300], "-k", "4")
    for count in (1, 3, 5, 17, 64):
        assert ask(store, tmp, rows[:count], "-k", "4") == many[:count]
    for question, answer in zip(rows[:50], many):
        truth.check(answer, question, "l2", 4, digits=8)


def test_a_filter_leaves_as_many_as_there_are(stores, tmp, rng):
    """First the nearest of all, then the filter: nothing was left."""
    store, truth = fill(stores, tmp, rng, 3000, name="filtered", ids=range(3000))
    far = sorted(rng.sample(range(3000), 25))
    (tmp / "ids.txt").write_text("".join(f"{vector}\n" for vector in far))
    some = Truth(truth.ids[far], truth.rows[far])
    for k in (1, 10, 25, 96):
        [answer] = ask(store, tmp, truth.rows[:1], "--ids", tmp / "ids.txt", "-k", k)
        some.check(answer, truth.rows[0], "l2", k, digits=8)


def test_a_bound_on_the_distance_holds(stores, tmp, rng):
    """It was passed over in silence where the vectors were bits."""
    for dtype, metric in (("b1", "hamming"), ("f4", "cosine"), ("i1", "l2"), ("f4", "ip")):
        store, truth = fill(stores, tmp, rng, 500, dtype, f"bound-{dtype}-{metric}", 64)
        question = truth.rows[7]
        [answer] = ask(store, tmp, question[None], "--metric", metric, "-k", "500")
        bound = (answer[29][1] + answer[30][1]) / 2
        [near] = ask(store, tmp, question[None], "--metric", metric, "--within", repr(bound))
        assert near[:30] == answer[:30] or metric == "hamming"
        truth.check(near, question, metric, 500, within=bound, digits=7)


def test_the_angle_to_a_short_vector(stores, tmp, rng):
    """1e-10 … 1e-29 were at 0, 1 or infinity, as it came."""
    rows = numpy.array([[10.0 ** -x, 0] for x in range(44)] + [[0, 1], [1, 1]], "<f4")
    store, _ = fill(stores, tmp, rng, rows, name="short", dim=2, ids=range(46))
    [answer] = ask(store, tmp, numpy.array([[1, 0]], "<f4"), "--metric", "cosine", "-k", "46")
    assert answer[:44] == [(i, 0.0) for i in range(44)]
    assert [vector for vector, _ in answer[44:]] == [45, 44]
    assert numpy.allclose([distance for _, distance in answer[44:]], [1 - 0.5 ** 0.5, 1])


def test_a_vector_of_zeros_has_no_angle(stores, tmp, rng):
    """It came first, without a number."""
    rows = numpy.zeros((3, 50), "u1")
    rows[1:, ::7] = 2
    rows[2, 3] = 1
    store, _ = fill(stores, tmp, rng, rows, "u1", "zeros", 50, [1, 2, 3])
    [answer] = ask(store, tmp, rows[1:2], "--metric", "cosine")
    assert [vector for vector, _ in answer] == [2, 3] and answer[0][1] == 0
    refused = quiverfs("search", store.path, "1", "--metric", "cosine", status=1)
    assert refused.stdout == "" and "1" in refused.stderr


def test_the_nearest_of_a_vector_is_itself(stores, tmp, rng):
    """Not so where elements were cut to bf16."""
    for dtype in ("bf2", "f2", "f8", "i1", "u1", "b1"):
        store, truth = fill(stores, tmp, rng, 700, dtype, f"self-{dtype}", 128)
        for metric in ("l2", "cosine"):
            for vector, answer in zip(truth.ids[:70], ask(store, tmp, truth.rows[:70],
                                                          "--metric", metric, "-k", "1")):
                assert answer == [(int(vector), 0.0)], (dtype, metric)


def test_vectors_on_a_line(stores, tmp, rng):
    """The nearest of one in the middle were those at the beginning."""
    rows = (numpy.arange(1, 501)[:, None] * 0.1 + numpy.arange(8) * 0.01).astype("<f4")
    store, truth = fill(stores, tmp, rng, rows, name="line", dim=8, ids=range(1, 501))
    [answer] = ask(store, tmp, rows[249:250], "-k", "5")
    assert answer[0] == (250, 0.0)
    assert {vector for vector, _ in answer} == {248, 249, 250, 251, 252}
    truth.check(answer, rows[249], "l2", 5, digits=6)


def test_as_many_neighbours_as_one_likes(stores, tmp, rng):
    """4,096 were the most."""
    store, truth = fill(stores, tmp, rng, 6000, "i1", "all", 16)
    [answer] = ask(store, tmp, truth.rows[:1], "-k", "6000")
    assert len(answer) == 6000
    truth.check(answer, truth.rows[0], "l2", 6000, digits=8)
