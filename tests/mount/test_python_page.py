"""The examples of quiverfs-python(7), and what it says there is."""

import inspect
import multiprocessing
import os
import re
import types

import pytest

from harness import run
from man_pages import SOURCE, python3, sections
from python_package import FOLDER, numpy, quiverfs

PAGE = SOURCE / "tools/man/quiverfs-python.7"


def example(name, mnt):
    return sections(PAGE)[name][0].replace("/mnt/q", str(mnt.point))


def run_example(name, mnt):
    return run(python3()["python3"], "-c", example(name, mnt),
               env={**os.environ, "PYTHONPATH": str(FOLDER)}).stdout.decode().splitlines()


def test_reading_and_writing(mnt):
    with quiverfs.open(mnt.point) as q:
        q.put([1, 2], numpy.ones((2, 25)))
    printed = run_example("Reading and writing", mnt)
    assert printed == ["(25,) (3, 25) (2, 2, 25)",
                       "6 True [ 1  2  7  8  9 42] 25 float32 l2", "[1000]"]
    assert mnt.ids() == {1, 2, 7, 8, 9}


def test_nearest_neighbours(mnt, rng):
    with quiverfs.open(mnt.point) as q:
        q.put(range(30), numpy.arange(30)[:, None] + numpy.arange(25) ** 2)
    printed = run_example("Nearest neighbours", mnt)
    assert list(eval(printed[0])) == [8, 9, 10]


def test_snapshots(mnt):
    with quiverfs.open(mnt.point) as q:
        q.put([7, 8], [[1] * 25, [2] * 25])
    assert run_example("Snapshots", mnt) == ["True ['v1']", "(25,)"]


# ---- the data set -----------------------------------------------------------------------


class Loader:
    """What torch's DataLoader does with processes: each has the data set, and gets batches of rows."""

    def __init__(self, data, batch, workers, seed):
        self.data, self.batch, self.workers = data, batch, workers
        self.order = numpy.random.default_rng(seed).permutation(len(data)).tolist()

    def __iter__(self):
        context = multiprocessing.get_context("fork")
        orders, made = context.Queue(), context.Queue()
        crew = [context.Process(target=self.work, args=(orders, made)) for _ in range(self.workers)]
        for worker in crew:
            worker.start()
        batches = [self.order[at:at + self.batch] for at in range(0, len(self.order), self.batch)]
        for number, rows in enumerate(batches):
            orders.put((number, rows))
        for _ in crew:
            orders.put(None)
        results = dict(made.get() for _ in batches)
        for worker in crew:
            worker.join()
            assert worker.exitcode == 0
        return iter([results[number] for number in range(len(batches))])

    def work(self, orders, made):
        for number, rows in iter(orders.get, None):
            made.put((number, self.data.__getitems__(rows)))


@pytest.mark.parametrize("state", ["live", "snapshot"])
def test_the_data_set(mnt, state):
    ids = numpy.arange(1000) * 3
    with quiverfs.open(mnt.point) as q:
        q.put(ids, numpy.repeat(ids[:, None], 25, axis=1))
        if state == "snapshot":
            q.snapshot("v1", create=True).close()
            q.put(ids, numpy.zeros((1000, 25)))
    module = types.ModuleType("example")
    exec(example("PyTorch", mnt), module.__dict__)
    data = module.Vectors(f"{mnt.point}@v1" if state == "snapshot" else str(mnt.point))
    assert len(data) == 1000 and data[7].tolist() == [21.0] * 25
    for epoch in range(2):
        batches = list(Loader(data, 64, 3, seed=epoch))
        assert [batch.shape for batch in batches] == [(64, 25)] * 15 + [(40, 25)]
        assert sorted(numpy.concatenate(batches)[:, 0].tolist()) == ids.tolist()
        assert all((batch == batch[:, :1]).all() for batch in batches)
    data.q.close()


# ---- the reference ----------------------------------------------------------------------


def test_the_page_has_what_there_is():
    """All names that are public, and no others."""
    text = PAGE.read_text().split(".Sh REFERENCE")[1].split("\n.Sh PROCESSES")[0]
    items = re.findall(r"^\.It (.*)$", text, re.MULTILINE)
    functions = {name for item in items for name in re.findall(r"Fn (?:quiverfs\.)?(\w+)", item)}
    values = {name for item in items for line in re.findall(r"Va (.*)", item)
              for name in line.replace(",", " ").split()}
    members = {name: member for name, member in vars(quiverfs.Store).items()
               if not name.startswith("_")}
    methods = {name for name, member in members.items() if inspect.isfunction(member)}
    properties = {name for name, member in members.items() if isinstance(member, property)}
    assert functions - {"len"} == methods | {"open", "to_bits"}
    assert values == properties
    others = set(re.findall(r"^\.V[at] (?:quiverfs\.)?(\w+)(?: ,)?$", text, re.MULTILINE))
    assert set(quiverfs.__all__) - {"open", "to_bits"} <= others | {"Store"}


def test_the_page_has_the_arguments_of_each_function():
    text = PAGE.read_text().split(".Sh REFERENCE")[1]
    items = "\n".join(re.findall(r"^\.It (.*)$", text, re.MULTILINE))
    shown = {}
    for name, words in re.findall(r'Fn (?:quiverfs\.)?(\w+)((?: "[^"]*")+| \w+)?', items):
        shown[name] = [re.sub(r"=.*", "", word).strip('"') for word in words.split()]
    for name, words in shown.items():
        function = getattr(quiverfs, name, None) or getattr(quiverfs.Store, name, None)
        if name == "len":
            continue
        parameters = list(inspect.signature(function).parameters.values())
        wanted = [parameter.name for parameter in parameters if parameter.name != "self"]
        assert [word for word in words if word != "*"] == wanted, name
        if "*" in words:
            first = words[words.index("*") + 1]
            kind = inspect.signature(function).parameters[first].kind
            assert kind is inspect.Parameter.KEYWORD_ONLY


def test_all_that_is_public_has_a_docstring_and_types():
    for name in quiverfs.__all__:
        thing = getattr(quiverfs, name)
        if not isinstance(thing, int):
            assert inspect.getdoc(thing), name
    for name, member in vars(quiverfs.Store).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            assert member.__doc__ and "return" in member.fget.__annotations__, name
        elif inspect.isfunction(member):
            assert member.__doc__, name
            parameters = set(inspect.signature(member).parameters) - {"self"}
            assert parameters | {"return"} <= set(member.__annotations__), name
