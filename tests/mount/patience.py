"""How long to wait for what must come: by a clock that goes slower on a busy machine.

A limit of time is there to find what never comes. By the clock on the wall it would find, too,
what comes late because others have the processors. So a second counts only for the part of it
that a process gets: where twelve want to run on two processors, a sixth.
"""

import os
import subprocess
import time

# For calls that can only be given a limit by the clock on the wall. It is for what hangs alone.
HANG_SECONDS = 1800
# How much longer all takes in a machine that is emulated (tests/kernels), by that clock.
SLOWER = 10 if "QUIVERFS_KERNEL_GUEST" in os.environ else 1


def share_of_a_processor():
    """What a process that wants to run gets of one, now: at most 1."""
    with open("/proc/loadavg", encoding="ascii") as file:
        running = int(file.read().split()[3].split("/")[0])
    if running <= os.cpu_count():
        return 1.0
    # Each step of niceness is a fifth less.
    return os.cpu_count() / running * 0.8 ** max(os.getpriority(os.PRIO_PROCESS, 0), 0)


class Patience:
    def __init__(self, seconds):
        self.left = seconds
        self.last = time.monotonic()

    def is_over(self):
        now = time.monotonic()
        self.left -= (now - self.last) * share_of_a_processor()
        self.last = now
        return self.left < 0


def wait_for(process, seconds):
    """As process.wait(seconds), by that clock."""
    patience = Patience(seconds)
    while process.poll() is None:
        if patience.is_over():
            raise subprocess.TimeoutExpired(process.args, seconds)
        time.sleep(0.005)
    return process.returncode


def has_ended(pid):
    """A process that is nobody's child here may stay a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def group_has_ended(group):
    """All of a process group: the others may live on a moment after its leader."""
    try:
        os.killpg(group, 0)
        return False
    except ProcessLookupError:
        return True
