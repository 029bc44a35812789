"""Two hosts on one network: network namespaces with a bridge between, which end with the test.

The process that makes them leaves the network of the machine for a third, where the bridge is;
a cluster that it starts then is on that, too.
"""

import ctypes
import os
import shutil
import subprocess

from harness import run, until

CLONE_NEWNET = 0x40000000
NETWORK = "10.211.55"
ADDRESS = NETWORK + ".1"
libc = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    run(shutil.which("ip") or "/usr/sbin/ip", *words)


class Host:
    """`words` before a command have it run there."""

    def __init__(self, number):
        self.link = f"host{number}"
        self.holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.DEVNULL)
        network = f"/proc/{self.holder.pid}/ns/net"
        ours = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(network) != ours, "no network namespace")
        self.words = ["nsenter", f"--net={network}"]
        ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns",
           self.holder.pid)
        ip("link", "set", self.link, "master", "bridge", "up")
        self.run("ip", "addr", "add", f"{NETWORK}.{number + 1}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *words):
        return run(*self.words, *words)

    def cut_off(self):
        ip("link", "set", self.link, "down")

    def connect(self):
        ip("link", "set", self.link, "up")

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()


def why_none():
    """Why there can be no hosts here, or ""."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for tool in ("ip", "unshare", "nsenter"):
        if not shutil.which(tool):
            return f"there is no {tool}"
    done = subprocess.run(["unshare", "--net", "ip", "link", "add", "bridge", "type", "bridge"],
                          capture_output=True, check=False)
    return f"there can be no bridge here: {done.stderr.decode().strip()}" if done.returncode else ""


def make():
    """Two hosts; this process is on their network from now on."""
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    ip("link", "set", "lo", "up")
    ip("link", "add", "bridge", "type", "bridge")
    ip("addr", "add", f"{ADDRESS}/24", "dev", "bridge")
    ip("link", "set", "bridge", "up")
    return [Host(1), Host(2)]
