"""The machine: what it is, its caches, and programs run on it."""

import json
import os
import pathlib
import platform
import re
import resource
import subprocess
import time

URING_SWITCH = "/sys/module/fuse/parameters/enable_uring"
DROP_CACHES = "/proc/sys/vm/drop_caches"
RUN_SECONDS_MAX = 3600  # of one measurement; longer is a hang


class BenchError(Exception):
    """One measurement could not be taken; the others can."""


def run(command, seconds=RUN_SECONDS_MAX, **more):
    """The standard output of a program that has to succeed."""
    try:
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=seconds, check=False, **more)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BenchError(f"{os.path.basename(str(command[0]))} {command[1]}: "
                         f"{said[-1] if said else 'failed'}")
    return done.stdout


def run_worker(program, row, path, **options):
    """Run a worker of the benchmark; its line of JSON."""
    command = [program, row, path]
    for name, value in options.items():
        command += [f"--{name}", value]
    return json.loads(run(command))


def timed(command, **more):
    """How many ns a program takes."""
    before = time.monotonic_ns()
    run(command, **more)
    return time.monotonic_ns() - before


def children_cpu_ns():
    """Of the processor, what programs have taken that have been waited for, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def cpu_ns(pid):
    """What the threads of a process have taken, which all are still there."""
    return sum(int(path.read_text(encoding="ascii").split()[0])
               for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


def read_text(path, otherwise=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return otherwise


def can_drop_caches():
    return os.access(DROP_CACHES, os.W_OK)


def drop_caches():
    os.sync()
    with open(DROP_CACHES, "w", encoding="ascii") as file:
        file.write("3")


def forget_deletions():
    """Let what was deleted before cost nobody anything. ext4 without a journal takes no inode
    that was deleted in the last minutes, and looks through all of them again for each file that
    is made, ten times as long as making it takes, as long as their blocks are in memory."""
    if can_drop_caches():
        drop_caches()


def switch_uring(value):
    """Set FUSE's switch for io_uring; what it was, or None where it cannot be set."""
    before = read_text(URING_SWITCH)
    if not before or before == value:
        return None
    try:
        with open(URING_SWITCH, "w", encoding="ascii") as file:
            file.write(value)
    except OSError:
        return None
    return before


def filesystem_of(path):
    """Type and mount options of the filesystem that holds `path`."""
    path = os.path.realpath(path)
    best = ("", "unknown", "")
    for line in read_text("/proc/self/mounts").splitlines():
        _, point, kind, options = line.split()[:4]
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind, options)
    return {"type": best[1], "options": best[2]}


def anonymous_bytes(pid):
    """Memory of a process that is not the page cache."""
    found = re.search(r"^Anonymous:\s+(\d+) kB", read_text(f"/proc/{pid}/smaps_rollup"), re.M)
    if not found:
        raise BenchError(f"the memory of process {pid} cannot be read")
    return int(found.group(1)) << 10


def allocated_bytes(path):
    """What a file or a tree takes on the disk, folders included."""
    total = os.lstat(path).st_blocks * 512
    if os.path.isdir(path) and not os.path.islink(path):
        with os.scandir(path) as entries:
            total += sum(allocated_bytes(entry.path) for entry in entries)
    return total


def free_bytes(path):
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize


def available_memory_bytes():
    found = re.search(r"^MemAvailable:\s+(\d+) kB", read_text("/proc/meminfo"), re.M)
    return int(found.group(1)) << 10 if found else 0


def describe(work):
    """Which machine, kernel and filesystem."""
    model = re.search(r"^model name\s*:\s*(.+)$", read_text("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", read_text("/proc/meminfo"), re.M)
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": int(memory.group(1)) << 10 if memory else 0,
        "kernel": platform.release(),
        "filesystem": filesystem_of(work),
        "fuse_uring": read_text(URING_SWITCH, "missing"),
        "load_average": os.getloadavg()[0],
    }
