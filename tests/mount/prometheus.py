"""A strict parser of Prometheus' text format, as far as the mount uses it."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL},?)*)\}})? (\S+)")
KINDS = {"counter": [""], "gauge": [""], "summary": ["", "_sum", "_count"],
         "histogram": ["_bucket", "_sum", "_count"]}


class Family:
    def __init__(self, kind):
        self.kind = kind
        self.samples = {}  # (name, labels) -> value

    def value(self):
        assert len(self.samples) == 1, self.samples
        return next(iter(self.samples.values()))


def parse_metrics(text):
    """{name: Family}. Each family is HELP, then TYPE, then all of its samples."""
    assert text.endswith("\n")
    families, helped, name = {}, None, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            found = re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line)
            assert found, line
            helped = found[1]
            assert helped not in families, line
        elif line.startswith("#"):
            found = re.fullmatch(rf"# TYPE ({NAME}) (\w+)", line)
            assert found, line
            name = found[1]
            assert name == helped, line
            assert found[2] in KINDS, line
            families[name] = Family(found[2])
        else:
            add_sample(families[name], name, line)
    for name, family in families.items():
        assert family.samples, name
    return families


def add_sample(family, name, line):
    found = SAMPLE.fullmatch(line)
    assert found, line
    assert found[1].startswith(name), line
    assert found[1][len(name):] in KINDS[family.kind], line
    key = found[1], tuple(match[:2] for match in re.findall(LABEL, found[2] or ""))
    assert key not in family.samples, line
    value = float(found[5])
    assert value >= 0 or family.kind == "gauge", line
    family.samples[key] = value
