"""A second process that does what a test tells it, for all that needs two of them."""

import contextlib
import multiprocessing
import os

context = multiprocessing.get_context("fork")


class Peer:
    """`peer.call(function, ...)` runs a function of `os` by name, or any function of a
    module, in the other process. What it raises is raised here."""

    def __init__(self, uid=None, gid=None, umask=None):
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, uid, gid, umask), daemon=True)
        self.process.start()
        theirs.close()

    def start(self, function, *words, **options):
        self.pipe.send((function, words, options))

    def result(self):
        good, value = self.pipe.recv()
        if not good:
            raise value
        return value

    def call(self, function, *words, **options):
        self.start(function, *words, **options)
        return self.result()

    def read(self, path):
        return self.call(read_file, str(path))

    def write(self, path, data):
        return self.call(write_file, str(path), data)

    def close(self):
        # An end of the pipe is not enough: processes forked later hold it open.
        with contextlib.suppress(OSError):  # a test may have killed it
            self.pipe.send(None)
        self.pipe.close()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def serve(pipe, uid, gid, umask):
    if gid is not None:
        os.setgroups([])
        os.setgid(gid)
    if uid is not None:
        os.setuid(uid)
    if umask is not None:
        os.umask(umask)
    while True:
        order = pipe.recv()
        if order is None:
            os._exit(0)
        function, words, options = order
        try:
            if isinstance(function, str):
                function = getattr(os, function)
            pipe.send((True, function(*words, **options)))
        except Exception as error:  # whatever it is, it belongs to the test
            pipe.send((False, error))


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def write_file(path, data):
    with open(path, "wb") as file:
        file.write(data)
