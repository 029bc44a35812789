"""The fixtures and the harness of the mount tests, for the tests of this folder."""

import importlib.util
import sys
from pathlib import Path

MOUNT_TESTS = Path(__file__).resolve().parents[1] / "mount"
sys.path.insert(0, str(MOUNT_TESTS))
# Under another name: this module is called conftest, too.
spec = importlib.util.spec_from_file_location("mount_conftest", MOUNT_TESTS / "conftest.py")
fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fixtures)
globals().update({name: value for name, value in vars(fixtures).items()
                  if not name.startswith("__")})
