"""The virtual machine, in QEMU, and the kernel that Debian ships."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.lab.kernel.initramfs import archive, load_order
from tests.lab.kernel.packages import fetch

HERE = Path(__file__).parent
WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
METAPACKAGE = "linux-image-amd64"
CONSOLE, NULL = ("dev/console", (5, 1)), ("dev/null", (1, 3))
BOOT = "console=ttyS0 quiet panic=-1 mitigations=off nowatchdog net.ifnames=0"
PROGRAMS = ("qemu-system-x86_64", "depmod", "busybox")


def virtualises(cpuinfo: str, *, kvm: bool) -> bool:
    """Say whether QEMU can run an ordinary kernel on this processor.

    In some virtual machines /dev/kvm is there without a processor that virtualises (kernel module kvm_pvm): it runs only kernels
    made for it, and any other one stands still as it leaves real mode, without a word.

    Args:
        cpuinfo: the file of that name.
        kvm: whether /dev/kvm is there and open to us.
    """
    flags = next((line.split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    return kvm and ("vmx" in flags or "svm" in flags)


def prepare(build: Path, results: Path, memory: int, *, kvm: bool) -> list[str]:
    """Fetch the kernel, write its first files, and say how to start it.

    Args:
        memory: of the virtual machine, in MB.
        kvm: run on the processor itself, which must virtualise; QEMU emulates one otherwise.
    """
    kernel = _kernel(build)
    (modules,) = (kernel / "lib/modules").iterdir()
    order = load_order((modules / "modules.dep").read_text(), WANTED)
    busybox = shutil.which("busybox")
    assert busybox is not None
    files = {"init": (HERE / "init.qemu").read_bytes(), "bin/busybox": Path(busybox).read_bytes()}
    files |= {f"modules/{path}": (modules / path).read_bytes() for path in order}
    files["modules/order"] = "\n".join(order).encode()
    folders = sorted({"bin", "dev", *(str(parent) for name in files for parent in Path(name).parents if str(parent) != ".")})
    (build / "initramfs").write_bytes(archive(files, folders, dict([CONSOLE, NULL])))
    (results / "modules").write_text(f"{modules}\n")
    (image,) = (kernel / "boot").glob("vmlinuz-*")
    words = ["qemu-system-x86_64", *shlex.split("-machine q35 -nodefaults -no-reboot -display none -serial stdio -net none")]
    words += ["-accel", "kvm" if kvm else "tcg,thread=multi", "-smp", str(os.cpu_count() or 2), "-m", str(memory)]
    words += ["-cpu", "max,-arch-capabilities"]  # nested virtual machines may refuse to set it
    words += ["-kernel", str(image), "-initrd", str(build / "initramfs"), "-append", f"{BOOT} lab_folder={results}"]
    share = "security_model=none,multidevs=remap"
    words += ["-virtfs", f"local,path=/,mount_tag=host,readonly=on,{share}"]
    return [*words, "-virtfs", f"local,path={results},mount_tag=results,{share}"]


def _kernel(build: Path) -> Path:
    """Debian's kernel, unpacked: the folder with `boot` and `lib`."""
    place, fresh = build / "debian", build / "debian.new"
    if not place.exists():
        fetch(METAPACKAGE, "linux-image", fresh)
        release = next((fresh / "lib/modules").iterdir()).name
        subprocess.run(("depmod", "-b", fresh, release), check=True)
        fresh.rename(place)
    return place
