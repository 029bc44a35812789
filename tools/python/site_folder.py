"""Prints where this Python looks for what is installed below a prefix: Meson's own answer is, on
Debian, a folder below /usr/local in which no Python looks."""

import site
import sys
import sysconfig

prefix = sys.argv[1].rstrip("/")
# Debian has both prefixes in one list, and the one is below the other.
below = [folder for folder in site.getsitepackages() if folder.startswith(prefix + "/")
         and (prefix == "/usr/local" or not folder.startswith("/usr/local/"))]
print(below[0] if below else
      sysconfig.get_path("purelib", "posix_prefix", {"base": prefix}))
