"""Mounting as a user who is not root, through fusermount3."""

import os
import pwd
import shutil

import pytest

DEVICE = "/dev/fuse"
NOBODY = pwd.getpwnam("nobody").pw_uid
ordinary_user_words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@pytest.fixture
def ordinary_user(root):
    """Options for Stores.mount. Everybody may use FUSE for as long as the test runs."""
    for tool in ("fusermount3", "setpriv"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    before = os.stat(DEVICE).st_mode & 0o7777
    os.chmod(DEVICE, 0o666)
    yield {"before": ordinary_user_words, "private": True}
    os.chmod(DEVICE, before)
