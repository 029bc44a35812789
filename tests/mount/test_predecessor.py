"""The table of tests/README.md names a test that there is for each failure of the predecessor
(DESIGN.md section 9)."""

import os
import re
from pathlib import Path

import pytest

TESTS = Path(os.environ.get("QUIVERFS_SOURCE", Path(__file__).resolve().parents[2])) / "tests"
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", re.M)


def table():
    text = (TESTS / "README.md").read_text(encoding="utf-8")
    return {int(number): tests for number, tests in ROW.findall(text)}


@pytest.mark.parametrize("failure", range(1, 21))
def test_a_failure_of_the_predecessor_has_its_tests(failure):
    found = re.findall(r"`([\w/]+\.(?:c|py))`(?: `(\w+)`)?", table()[failure])
    assert any(f"test_failure_{failure}_" in name for _, name in found), found
    for file, name in found:
        text = (TESTS / file).read_text(encoding="utf-8")
        if file.endswith(".c"):
            assert re.search(rf"\b(TEST|cmocka_unit_test\w*)\({name}\b", text), (file, name)
        elif name:
            assert f"def {name}(" in text, (file, name)
