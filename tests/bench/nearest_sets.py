"""Vectors to search in, and questions that are none of them."""

import numpy

BLOCK_BYTES = 32 << 20  # made at once
TYPES = {"f4": "<f4", "f2": "<f2", "i1": "|i1"}
CLUSTER_VECTORS = 400  # on average
CLUSTER_NOISE = 0.7  # of a vector about the middle of its cluster, where the middles have 1
COPIES = 10  # of each, on average, where there are duplicates
GLOVE_QUESTIONS = 500


class Noise:
    """Each element by itself: no index helps much."""

    def __init__(self, dtype, dim, count, seed):
        self.dtype = TYPES[dtype]
        self.dim = dim
        self.count = count
        self.seed = seed

    def converted(self, rows):
        if self.dtype == "|i1":
            rows = numpy.clip(rows * 40, -127, 127)
        return rows.astype(self.dtype, copy=False)

    def draw(self, chance, count):
        return chance.standard_normal((count, self.dim), dtype="f4")

    def blocks(self):
        chance = numpy.random.default_rng(self.seed)
        step = max(1, BLOCK_BYTES // (4 * self.dim))
        for first in range(0, self.count, step):
            yield self.converted(self.draw(chance, min(step, self.count - first)))

    def questions(self, count, seed):
        """Others of the same kind."""
        return self.converted(self.draw(numpy.random.default_rng(self.seed + 1000 + seed), count))


class Clustered(Noise):
    """About middles, of which some have many more than others."""

    def __init__(self, dtype, dim, count, seed):
        super().__init__(dtype, dim, count, seed)
        chance = numpy.random.default_rng(seed)
        many = max(2, count // CLUSTER_VECTORS)
        self.middles = chance.standard_normal((many, dim), dtype="f4")
        weights = chance.lognormal(size=many)
        self.weights = weights / weights.sum()

    def draw(self, chance, count):
        which = chance.choice(len(self.middles), count, p=self.weights)
        return self.middles[which] + numpy.float32(CLUSTER_NOISE) * super().draw(chance, count)


class Duplicates(Clustered):
    """The same, each many times; a question is like one of them, or one itself."""

    def __init__(self, dtype, dim, count, seed):
        super().__init__(dtype, dim, count, seed)
        chance = numpy.random.default_rng(seed + 1)
        self.different = super().draw(chance, max(2, count // COPIES))

    def draw(self, chance, count):
        return self.different[chance.integers(len(self.different), size=count)]

    def questions(self, count, seed):
        chance = numpy.random.default_rng(self.seed + 1000 + seed)
        rows = self.draw(chance, count)
        rows[1::2] += numpy.float32(0.1) * chance.standard_normal(rows[1::2].shape, dtype="f4")
        return self.converted(rows)


class Glove(Noise):
    """Words; those that are asked for are left out."""

    def __init__(self, path):
        words = numpy.load(path)
        super().__init__("f4", words.shape[1], len(words) - GLOVE_QUESTIONS, 1)
        order = numpy.random.default_rng(1).permutation(len(words))
        self.asked = words[order[:GLOVE_QUESTIONS]]
        self.words = words[order[GLOVE_QUESTIONS:]]

    def blocks(self):
        yield self.words

    def questions(self, count, seed):
        """More than there are: from the first again."""
        return self.asked[(numpy.arange(count) + seed * count) % GLOVE_QUESTIONS]


KINDS = {"isotropic": Noise, "clustered": Clustered, "duplicates": Duplicates}


def of(kind, dtype="f4", dim=128, count=0, seed=1):
    """One of KINDS, or GloVe, told by the path of its file."""
    return KINDS[kind](dtype, dim, count, seed) if kind in KINDS else Glove(kind)


class Maker:
    """The worker that writes them."""

    def __init__(self, _library):
        pass

    @staticmethod
    def make(path, vectors):
        made = of(**vectors)
        shape = (made.count, made.dim)
        out = numpy.lib.format.open_memmap(path, "w+", numpy.dtype(made.dtype), shape)
        first = 0
        for block in made.blocks():
            out[first:first + len(block)] = block
            first += len(block)
        return {"count": made.count, "dim": made.dim}
