"""What a disk was asked to do (the log of blockfile.c), and what it may hold if its
power goes: all that was written before the last flush, and of what came after it any
part, sector by sector, in any order."""

import struct
from dataclasses import dataclass

HEADER = struct.Struct("<QQ")
SECTOR = 512


@dataclass
class Record:
    offset: int  # on the disk
    length: int  # 0: a flush
    at: int  # of its bytes in the log
    end: int  # of the record in the log: the time when it had taken effect


def read_log(path):
    records = []
    with open(path, "rb") as log:
        while True:
            header = log.read(HEADER.size)
            if len(header) < HEADER.size:
                return records
            offset, length = HEADER.unpack(header)
            at = log.tell()
            log.seek(length, 1)
            records.append(Record(offset, length, at, at + length))


class Disk:
    """An image that goes through the log."""

    def __init__(self, image, log, records):
        self.image = open(image, "r+b")
        self.log = open(log, "rb")
        self.records = records
        self.done = 0

    def close(self):
        self.image.close()
        self.log.close()

    def bytes_of(self, record):
        self.log.seek(record.at)
        return self.log.read(record.length)

    def go_on_to(self, number):
        """Everything before record `number` is on the disk."""
        for record in self.records[self.done:number]:
            if record.length:
                self.image.seek(record.offset)
                self.image.write(self.bytes_of(record))
        self.done = max(self.done, number)
        self.image.flush()

    def write_some(self, image, first, last, rng):
        """Of the records [first, last) each wholly, in part, or not at all."""
        # Sometimes most is lost, sometimes hardly anything.
        kept, torn = rng.random(), rng.random() * 0.3
        with open(image, "r+b") as out:
            for record in self.records[first:last]:
                data = self.bytes_of(record)
                if rng.random() < torn:
                    for at in range(0, len(data), SECTOR):
                        if rng.random() < kept:
                            out.seek(record.offset + at)
                            out.write(data[at:at + SECTOR])
                elif rng.random() < kept:
                    out.seek(record.offset)
                    out.write(data)


def last_flush(records, number):
    """The number behind the last flush before record `number`."""
    while number > 0 and records[number - 1].length:
        number -= 1
    return number


def choose_cuts(records, first, count, rng):
    """Numbers of records before which the power goes, ascending: half of them at
    flushes or next to them, half anywhere."""
    flushes = [number for number in range(first, len(records)) if not records[number].length]
    cuts = set()
    while len(cuts) < min(count, len(records) - first):
        if flushes and rng.random() < 0.5:
            cuts.add(min(rng.choice(flushes) + rng.randrange(2), len(records)))
        else:
            cuts.add(rng.randrange(first, len(records) + 1))
    return sorted(cuts)
