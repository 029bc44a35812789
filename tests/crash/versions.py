"""Vectors that say which version they are, so that a torn or mixed one is seen."""

import hashlib


def content(version, size):
    """The bytes of a version: its number, and what only this number gives."""
    number = version.to_bytes(8, "little")
    return number + hashlib.shake_128(number).digest(size - 8)


def version_of(data, size, what):
    """The version that these bytes are, wholly."""
    assert len(data) == size, f"{what} has {len(data)} bytes, not {size}"
    version = int.from_bytes(data[:8], "little")
    assert data == content(version, size), f"{what} is torn: it begins as version {version:#x}"
    return version
