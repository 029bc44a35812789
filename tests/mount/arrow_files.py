"""Files of Arrow, read without the code under test."""

import struct

import numpy

TYPES = {(3, 0): "f2", (3, 1): "f4", (3, 2): "f8"}


class Table:
    """A table of FlatBuffers."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.fields = at - struct.unpack_from("<i", data, at)[0]

    @classmethod
    def root(cls, data):
        return cls(data, struct.unpack_from("<I", data)[0])

    def place(self, field):
        size = struct.unpack_from("<H", self.data, self.fields)[0]
        offset = struct.unpack_from("<H", self.data, self.fields + 4 + 2 * field)[0] if 4 + 2 * field < size else 0
        assert offset, field
        return self.at + offset

    def number(self, field, kind):
        place = self.place(field)
        assert place % struct.calcsize(kind) == 0  # as other readers insist
        return struct.unpack_from("<" + kind, self.data, place)[0]

    def follow(self, place):
        return place + struct.unpack_from("<I", self.data, place)[0]

    def table(self, field):
        return Table(self.data, self.follow(self.place(field)))

    def vector(self, field, kind):
        at = self.follow(self.place(field))
        count, size = struct.unpack_from("<I", self.data, at)[0], struct.calcsize("<" + kind)
        return [struct.unpack_from("<" + kind, self.data, at + 4 + size * i) for i in range(count)]

    def tables(self, field):
        at = self.follow(self.place(field))
        count = struct.unpack_from("<I", self.data, at)[0]
        return [Table(self.data, self.follow(at + 4 + 4 * i)) for i in range(count)]

    def text(self, field):
        at = self.follow(self.place(field))
        return self.data[at + 4:at + 4 + struct.unpack_from("<I", self.data, at)[0]].decode()


def element(field):
    kind, kinds = field.number(2, "B"), field.table(3)
    if kind == 3:
        return TYPES[kind, kinds.number(0, "h")]
    assert kind == 2
    return ("i" if kinds.number(1, "B") else "u") + str(kinds.number(0, "i") // 8)


def read_arrow(path):
    """(IDs or keys, rows, notes) of a file as export writes it."""
    data = path.read_bytes()
    assert data[:8] == b"ARROW1\0\0" and data[-6:] == b"ARROW1"
    size = struct.unpack_from("<I", data, len(data) - 10)[0]
    contents = Table.root(data[-10 - size:-10])
    assert data[-18 - size:-10 - size] == b"\xff\xff\xff\xff\0\0\0\0"
    schema = contents.table(1)
    ids, vectors = schema.tables(1)
    assert (ids.text(0), vectors.text(0), vectors.number(2, "B")) == ("id", "vector", 16)
    dim, = (vectors.table(3).number(0, "i"),)
    dtype, keys = element(vectors.tables(5)[0]), ids.number(2, "B") == 5
    all_ids, all_rows = [], [numpy.zeros((0, dim), dtype)]
    for offset, header_bytes, body_bytes in contents.vector(3, "qq q".replace(" ", "")):
        assert offset % 8 == 0 and data[offset:offset + 4] == b"\xff\xff\xff\xff"
        message = Table.root(data[offset + 8:offset + header_bytes])
        assert (message.number(1, "B"), message.number(3, "q")) == (3, body_bytes)
        batch, body = message.table(2), data[offset + header_bytes:offset + header_bytes + body_bytes]
        count = batch.number(0, "q")
        assert batch.vector(1, "qq") == [(count, 0), (count, 0), (count * dim, 0)]
        places = batch.vector(2, "qq")
        assert all(place % 64 == 0 for place, _ in places)
        parts = [body[place:place + length] for place, length in places]
        assert len(parts) == (6 if keys else 5) and parts[0] == parts[-3] == parts[-2] == b""
        all_rows.append(numpy.frombuffer(parts[-1], "<" + dtype).reshape(count, dim))
        if keys:
            ends = numpy.frombuffer(parts[1], "<i4")
            all_ids += [parts[2][ends[i]:ends[i + 1]].decode() for i in range(count)]
        else:
            all_ids += numpy.frombuffer(parts[1], "<u8").tolist()
    notes = {note.text(0): note.text(1) for note in schema.tables(2)}
    return all_ids, numpy.concatenate(all_rows), notes
