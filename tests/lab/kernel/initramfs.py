"""The first files that a kernel of its own finds: a shell, an init, and the modules that lead to this machine's disk. Pure."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

MAGIC, TRAILER = b"070701", "TRAILER!!!"
DIRECTORY, PROGRAM, DEVICE = 0o040755, 0o100755, 0o020600


def archive(files: Mapping[str, bytes], folders: Iterable[str], devices: Mapping[str, tuple[int, int]]) -> bytes:
    """Write a cpio archive of the kind `newc` (kernel: Documentation/driver-api/early-userspace/buffer-format.rst).

    Args:
        files: programs, by their path without the leading slash.
        devices: character devices, as (major, minor).
    """
    entries = [_entry(folder, DIRECTORY) for folder in folders]
    entries += [_entry(name, DEVICE, device=numbers) for name, numbers in devices.items()]
    entries += [_entry(name, PROGRAM, content) for name, content in files.items()]
    return b"".join([*entries, _entry(TRAILER, 0)])


def _entry(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """Thirteen fields of eight hexadecimal digits, the name and the content, each filled up to four bytes."""
    path = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
    head = MAGIC + b"".join(b"%08x" % field for field in fields) + path
    return _filled(head) + _filled(content)


def _filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def load_order(modules_dep: str, wanted: Iterable[str]) -> list[str]:
    """Paths of the wanted modules and of all they need, each after what it needs. `modules_dep` is depmod's file of that name."""
    needs = {}
    for line in modules_dep.splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    by_name = {PurePosixPath(path).name.partition(".")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []

    def add(path: str) -> None:
        for other in needs[path]:
            add(other)
        if path not in order:
            order.append(path)

    for name in wanted:
        if name not in by_name:
            raise ValueError(f"the kernel has no module {name}")
        add(by_name[name])
    return order
