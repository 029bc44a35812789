"""control/metrics for Prometheus, and the dashboard that shows it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from harness import run
from prometheus import parse_metrics

SOURCE = Path(__file__).resolve().parents[2]
DASHBOARD = SOURCE / "tools/grafana/quiverfs.json"
KINDS = {"timeseries", "stat", "table"}
SUFFIXES = ("_count", "_sum")


@pytest.fixture(scope="module")
def board():
    return json.loads(DASHBOARD.read_text())


@pytest.fixture
def busy(mnt, rng):
    """A mount that has done a bit of everything."""
    for vector in range(300):
        mnt.put(vector, rng.randbytes(mnt.size))
    for vector in range(0, 300, 2):
        mnt.path(vector).unlink()
    mnt.get(1)
    mnt.control("checkpoint", "1")
    mnt.control("compact", "start")
    mnt.finish_job("compact")
    return mnt


def promtool(text):
    if not shutil.which("promtool"):
        pytest.skip("there is no promtool (Debian's package prometheus)")
    done = run("promtool", "check", "metrics", stdin=text)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_promtool_accepts_the_metrics(busy):
    promtool(busy.control("metrics").encode())


def test_promtool_accepts_those_of_a_store_with_a_hostile_name(stores):
    store = stores.create(name='s "\\\n{}#ü')
    text = stores.mount(store).control("metrics")
    parse_metrics(text)
    promtool(text.encode())


def test_every_sample_says_of_which_mount(stores):
    """So that the files of several are one, as node_exporter's folder of files has it."""
    samples = set()
    for name in ("a", "b"):
        mnt = stores.mount(stores.create(name="store-" + name), name="mnt-" + name)
        for family in parse_metrics(mnt.control("metrics")).values():
            for sample, labels in family.samples:
                assert dict(labels)["mount"] == str(mnt.point), sample
                assert (sample, labels) not in samples
                samples.add((sample, labels))


def expressions(board):
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_each_metric_of_the_dashboard_is_there(board, busy):
    families = parse_metrics(busy.control("metrics"))
    samples = {sample for family in families.values() for sample, _ in family.samples}
    used = set()
    for text in expressions(board):
        found = re.findall(r"\bquiverfs_\w+", text)
        assert found, text
        used |= set(found)
        for quantile in re.findall(r'(\w+)\{[^}]*quantile="([^"]*)"\}', text):
            label = ("mount", str(busy.point)), ("quantile", quantile[1])
            assert (quantile[0], label) in families[quantile[0]].samples
        for counter in re.findall(r"(?:rate|increase)\((\w+)", text):
            assert families[counter].kind == "counter", text
    assert used <= samples, used - samples
    assert re.findall(r"label_values\((\w+),", json.dumps(board["templating"])) == [
        "quiverfs_info"] * 2


def test_the_dashboard_has_what_grafana_needs(board):
    assert board["title"] and re.fullmatch(r"[\w-]{1,40}", board["uid"]) and board["id"] is None
    assert board["schemaVersion"] >= 36 and board["time"]["from"] and board["refresh"]
    variables = {entry["name"]: entry for entry in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["mount"]["type"] == "query"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) > 10
    for panel in board["panels"]:
        assert panel["type"] in KINDS and panel["title"] and "fieldConfig" in panel
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        refs = [target["refId"] for target in panel["targets"]]
        assert refs and len(set(refs)) == len(refs)
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert "$mount" in target["expr"]
            assert target["expr"].count("(") == target["expr"].count(")")
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(board))) <= {
        *variables, "__rate_interval", "__range", "__all"}


def test_its_panels_do_not_overlap(board):
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_prometheus_understands_its_queries(board, tmp_path):
    """As rules, which promtool checks."""
    if not shutil.which("promtool"):
        pytest.skip("there is no promtool (Debian's package prometheus)")
    lines = ["groups:", "- name: dashboard", "  rules:"]
    for number, text in enumerate(expressions(board)):
        text = text.replace("$__rate_interval", "1m").replace("$__range", "6h")
        lines += [f"  - record: quiverfs:expression{number}",
                  f"    expr: {json.dumps(text.replace('$mount', '.*'))}"]
    rules = tmp_path / "rules.yml"
    rules.write_text("\n".join(lines) + "\n")
    done = run("promtool", "check", "rules", rules)
    assert f"{number + 1} rules found".encode() in done.stdout
