"""A process that kills a daemon that hangs, so that the test goes on and fails.

A process of its own: a page fault on a mount that hangs holds up every thread of
the interpreter.
"""

import atexit
import contextlib
import os
import select
import signal
import traceback

from patience import Patience

# Far more than any test takes, under any sanitizer.
SECONDS = int(os.environ.get("QUIVERFS_TEST_HANG_SECONDS", "0")) or (
    1800 if os.environ.get("QUIVERFS_TEST_LONG", "0") not in ("", "0") else 300)

pipe = None
owner = 0


def watch(pid):
    """Kill `pid`, a child of ours, unless `forget` is called in time."""
    global pipe, owner
    if pipe is None or owner != os.getpid():
        start()
    os.write(pipe, b"+%d\n" % pid)


def forget(pid):
    if pipe is not None and owner == os.getpid():
        os.write(pipe, b"-%d\n" % pid)


def start():
    global pipe, owner
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        # Or whoever waits for the end of a pipe of the test would wait for this process.
        os.closerange(3, theirs)
        os.closerange(theirs + 1, os.sysconf("SC_OPEN_MAX"))
        try:
            serve(theirs)
        except BaseException:  # or nobody would hear of it
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(theirs)
    pipe, owner = ours, os.getpid()
    atexit.register(finish, child)


def finish(child):
    if owner == os.getpid():
        os.close(pipe)
        os.waitpid(child, 0)


def serve(commands):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    deadlines, buffer = {}, b""
    while True:
        if select.select([commands], [], [], 1)[0]:
            piece = os.read(commands, 4096)
            if not piece:
                return
            buffer += piece
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                pid = int(line[1:])
                if line.startswith(b"+"):
                    with contextlib.suppress(ProcessLookupError):  # it has ended already
                        # The descriptor stays this process's, the number may not.
                        deadlines[pid] = (Patience(SECONDS), os.pidfd_open(pid))
                elif pid in deadlines:
                    os.close(deadlines.pop(pid)[1])
        for pid, (patience, process) in list(deadlines.items()):
            if patience.is_over():
                with contextlib.suppress(ProcessLookupError):  # it has ended after all
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                # Not to sys.stderr, which pytest has elsewhere: that is closed here.
                os.write(2, b"daemon %d hangs, and is killed\n" % pid)
                os.close(process)
                del deadlines[pid]
