"""Network namespaces for tests that need root: made by `ip`, entered by the test's own thread."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

import pytest

CLONE_NEWNET = 0x40000000  # linux/sched.h
PREFIX = f"cvu{os.getpid()}"  # what is made here is told from what others make at the same time
INTERFACE = f"cvt{os.getpid() % 1_000_000}"  # sockets of wireguard-go carry interface names, beyond namespaces

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def namespace(name: str) -> Iterator[str]:
    """Make a namespace with its loopback up; the name it gets is unique."""
    full = f"{PREFIX}{name}"
    ip("netns", "add", full)
    try:
        ip("-n", full, "link", "set", "lo", "up")
        yield full
    finally:
        ip("netns", "del", full)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Enter a namespace: sockets and processes that the block makes are in it. Other threads stay where they are."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{name}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {name}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


@contextlib.contextmanager
def joined() -> Iterator[tuple[str, str]]:
    """Two namespaces with a cable between them: `cable` is 192.0.2.1 and 2001:db8::1 in the one, ...2 in the other."""
    with namespace("a") as a, namespace("b") as b:
        ip("link", "add", "cable", "netns", a, "type", "veth", "peer", "name", "cable", "netns", b)
        for number, name in ((1, a), (2, b)):
            ip("-n", name, "addr", "add", f"192.0.2.{number}/24", "dev", "cable")
            ip("-n", name, "addr", "add", f"2001:db8::{number}/64", "dev", "cable", "nodad")
            ip("-n", name, "link", "set", "cable", "up")
        yield a, b
