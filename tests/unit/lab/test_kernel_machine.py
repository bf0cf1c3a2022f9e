"""What the kernel of `make lab-kernel` runs in."""

import pytest

from tests.lab.kernel.qemu import virtualises

AMD = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu svm avx2\n"
INTEL = "processor\t: 0\nmodel name\t: Intel Xeon\nflags\t\t: fpu vmx avx2\n"
GUEST = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor avx2\n"


@pytest.mark.parametrize("cpuinfo", [AMD, INTEL])
def test_a_processor_that_virtualises_runs_an_ordinary_kernel(cpuinfo: str) -> None:
    assert virtualises(cpuinfo, kvm=True)


@pytest.mark.parametrize(("cpuinfo", "kvm"), [(GUEST, True), (AMD, False), ("", False)])
def test_the_device_alone_does_not_and_neither_does_the_processor_alone(cpuinfo: str, kvm: bool) -> None:
    assert not virtualises(cpuinfo, kvm=kvm)
