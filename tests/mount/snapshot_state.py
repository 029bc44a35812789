"""What a store was like, and whether a snapshot of it is like that."""

import os

import numpy

FREE = 2**64 - 1


def folder_of(mnt, name):
    return mnt.point / "snapshots" / name


def take(mnt, name):
    os.mkdir(folder_of(mnt, name))
    return folder_of(mnt, name)


def seen(vectors):
    """{name: (bytes, mtime, ctime, mode, owner, group)} by listing, stat and read."""
    found = {}
    for entry in os.scandir(vectors):
        status = os.stat(entry.path)
        with open(entry.path, "rb") as file:
            data = file.read()
        assert len(data) == status.st_size and status.st_nlink == 1
        assert entry.inode() == status.st_ino
        found[entry.name] = (data, status.st_mtime_ns, status.st_ctime_ns, status.st_mode,
                             status.st_uid, status.st_gid)
    return found


def rows(folder, mmap_mode=None):
    """{name: bytes} by matrix.npy and ids.npy."""
    matrix = numpy.load(folder / "matrix.npy", mmap_mode=mmap_mode)
    ids = numpy.load(folder / "ids.npy", mmap_mode=mmap_mode)
    assert matrix.shape[0] == ids.shape[0] == int((folder / "control/slots").read_text())
    return {str(ids[slot]): matrix[slot].tobytes() for slot in range(len(ids)) if ids[slot] != FREE}


def folder_status(folder):
    status = os.stat(folder / "vectors")
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ctime_ns


class State:
    """All that there is on a mount now."""

    def __init__(self, mnt):
        self.files = seen(mnt.vectors)
        self.order = [name for name in os.listdir(mnt.vectors) if not name.startswith(".")]
        self.folder = folder_status(mnt.point)
        self.values = {name: mnt.control(name)
                       for name in ("dim", "dtype", "count", "uuid", "label", "metric")}

    def compare(self, folder):
        assert seen(folder / "vectors") == self.files
        assert sorted(os.listdir(folder / "vectors")) == sorted(self.order)
        data = {name: file[0] for name, file in self.files.items()}
        assert rows(folder) == data
        assert rows(folder, mmap_mode="r") == data
        ids = numpy.load(folder / "ids.npy")
        assert os.listdir(folder / "vectors") == [str(number) for number in ids if number != FREE]
        assert folder_status(folder) == self.folder
        for name, value in self.values.items():
            assert (folder / "control" / name).read_text() == value, name
