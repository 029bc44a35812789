"""The limits of time of the tests themselves: a machine that has other things to do ends none."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import patience
from patience import Patience, has_ended, share_of_a_processor, wait_for

TESTS = Path(__file__).resolve().parents[1]
# Ten times what the longest takes, and more: only what hangs is as long.
LEAST_SECONDS = 600


def test_the_clock_goes_slower_on_a_busy_machine(monkeypatch):
    slow, quick = Patience(0.2), Patience(0.2)
    monkeypatch.setattr(patience, "share_of_a_processor", lambda: 0.1)
    time.sleep(0.4)
    assert not slow.is_over()
    monkeypatch.setattr(patience, "share_of_a_processor", lambda: 1)
    assert quick.is_over()


def test_the_share_is_that_of_those_who_want_to_run():
    others = [subprocess.Popen(["sh", "-c", "while :; do :; done"])
              for _ in range(3 * os.cpu_count())]
    try:
        end = time.monotonic() + 60
        while share_of_a_processor() > 0.4 and time.monotonic() < end:
            time.sleep(0.01)
        assert 0 < share_of_a_processor() <= 0.4
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_what_hangs_is_given_up():
    with subprocess.Popen(["sleep", "1000"]) as hangs:
        with pytest.raises(subprocess.TimeoutExpired):
            wait_for(hangs, 0.1)
        assert not has_ended(hangs.pid)
        hangs.kill()
        assert wait_for(hangs, 60) < 0
    assert has_ended(hangs.pid)


WATCHED = """if True:
    import os, subprocess, sys
    sys.stderr = os.fdopen(os.dup(2), "w")  # as pytest has it
    import watchdog
    from patience import wait_for
    for _ in range(2):
        hangs = subprocess.Popen(["sleep", "1000"])
        watchdog.watch(hangs.pid)
        assert wait_for(hangs, 60) == -9
        watchdog.forget(hangs.pid)
"""


def test_the_watchdog_kills_what_hangs_and_goes_on():
    """It died of what it wanted to say, and the next test of a broken pipe."""
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(TESTS / "mount"),
                               "QUIVERFS_TEST_HANG_SECONDS": "1"})
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.count(b"hangs, and is killed") == 2


def test_mesons_timeouts_are_for_what_hangs():
    build = os.environ.get("QUIVERFS_BUILD")
    if not build:
        pytest.skip("no build folder is known")
    listed = subprocess.run(["meson", "introspect", build, "--tests"], stdout=subprocess.PIPE,
                            check=True)
    short = {test["name"]: test["timeout"] for test in json.loads(listed.stdout)
             if test["timeout"] < LEAST_SECONDS}
    assert not short


def test_no_call_of_python_has_a_short_limit():
    """Seconds as a number: subprocess, Popen.wait, Process.join. By name it is one of patience.py,
    or one that is scaled as that."""
    limit = re.compile(r"(?:\btimeout=|\.(?:wait|join|communicate)\()(\d+)\b(?!\.)")
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found += [f"{path.name}:{number}: {line.strip()}" for seconds in limit.findall(line)
                      if int(seconds) < LEAST_SECONDS]
    assert not found
