"""What a kernel of its own runs in here."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from tests.lab.kernel import qemu, uml

Name = Literal["kvm", "uml", "emulated"]
NAMES: tuple[Name, ...] = get_args(Name)


class Machine(NamedTuple):
    """How to run a kernel.

    Attributes:
        needs: what `prerequisites.sh` calls the packages of `programs`.
        prepare: called with the folder for what stays, the folder for results, and the memory in MB; gives the command.
    """

    programs: tuple[str, ...]
    needs: str
    prepare: Callable[[Path, Path, int], list[str]]


MACHINES: dict[Name, Machine] = {
    "kvm": Machine(qemu.PROGRAMS, "kernel-qemu", partial(qemu.prepare, kvm=True)),
    "uml": Machine(uml.PROGRAMS, "kernel-uml", uml.prepare),
    "emulated": Machine(qemu.PROGRAMS, "kernel-qemu", partial(qemu.prepare, kvm=False)),
}


def best() -> Name:
    """QEMU where the processor virtualises: it has all of them. User-mode Linux elsewhere: QEMU alone is thirty times slower."""
    is_open = os.access("/dev/kvm", os.R_OK | os.W_OK)
    return "kvm" if qemu.virtualises(Path("/proc/cpuinfo").read_text(), kvm=is_open) else "uml"
