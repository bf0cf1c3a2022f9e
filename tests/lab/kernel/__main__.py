"""`python -m tests.lab.kernel [--only TESTS] [--bench NAMES]`: the lab under a kernel that has WireGuard, in a virtual machine.

The machine sees this one's files read-only under a layer of memory, so whatever is done in it is gone with it. Where there is no
KVM, QEMU emulates its processor, which makes everything some ten times slower. Debian's kernel is fetched from the package
archive into build/kernel/ and never runs on this machine itself. Results and logs come out in build/kernel/results/.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.kernel.initramfs import archive, load_order

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
BUILD = ROOT / "build/kernel"
RESULTS = BUILD / "results"
WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
METAPACKAGE = "linux-image-amd64"
CONSOLE, NULL = ("dev/console", (5, 1)), ("dev/null", (1, 3))
PATIENCE = 900.0  # seconds that the lab waits for things there
MADE = ("build/lab", "build/bench.json", "build/soak", "build/soak.json")
TESTS = "two_machines_meet or path_that_opens or killed_helper or without_its_server"
BOOT = "console=ttyS0 quiet panic=-1 mitigations=off nowatchdog net.ifnames=0"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests.lab.kernel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", help="measure these benches instead of running tests")
    parser.add_argument("--only", help="tests, as pytest's -k takes them", default=TESTS)
    parser.add_argument("--command", help="run this shell command in the repository instead")
    parser.add_argument("--memory", type=int, default=4096, help="of the virtual machine, in MB")
    parser.add_argument("--hours", type=float, default=2.0, help="end it after so long")
    options = parser.parse_args()
    if missing := [program for program in ("qemu-system-x86_64", "depmod", "busybox") if shutil.which(program) is None]:
        print(f"missing: {', '.join(missing)}; `sh installers/linux/prerequisites.sh kernel` installs them", file=sys.stderr)
        return 2
    kernel = fetch_kernel()
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    prepare(kernel, command_of(options))
    boot(kernel, options)
    try:
        code = int((RESULTS / "exit-code").read_text())
    except (OSError, ValueError):
        print("the virtual machine ended before the command did; its console is above", file=sys.stderr)
        return 3
    print(f"ended with {code}; results in {RESULTS.relative_to(ROOT)}")
    return code


def command_of(options: argparse.Namespace) -> str:
    """The script that the virtual machine runs."""
    if options.command:
        words = ["sh", "-c", options.command]
    elif options.bench:
        words = [sys.executable, "-m", "tests.bench", "--only", options.bench]
    else:
        words = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "--color=no",
            "-m",
            "lab",
            "-p",
            "no:cacheprovider",
            "-k",
            options.only,
            "tests/lab",
        ]
    settings = {
        "PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT),
        "COVEY_LAB_WIREGUARD": "kernel",
        "COVEY_LAB_PATIENCE": f"{PATIENCE:g}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    lines = [
        f"cd {shlex.quote(str(ROOT))}",
        *(f"export {name}={shlex.quote(value)}" for name, value in settings.items()),
        shlex.join(words),
        "code=$?",
        f"for made in {' '.join(MADE)}; do",
        f"  [ ! -e $made ] || cp -r $made {shlex.quote(str(RESULTS))}/",
        "done",
        "exit $code",
    ]
    return "\n".join(lines) + "\n"


def fetch_kernel() -> Path:
    """Debian's kernel, unpacked: the folder with `boot` and `lib`."""
    place = BUILD / "debian"
    if place.exists():
        return place
    BUILD.mkdir(parents=True, exist_ok=True)
    depends = subprocess.run(("apt-cache", "depends", METAPACKAGE), capture_output=True, text=True, check=True).stdout
    package = next(line.split()[-1] for line in depends.splitlines() if "Depends: linux-image" in line)
    print(f"fetching {package}")
    subprocess.run(("apt-get", "download", "-q", package), cwd=BUILD, check=True)
    fresh = BUILD / "debian.new"
    shutil.rmtree(fresh, ignore_errors=True)
    (file,) = BUILD.glob("linux-image-*.deb")
    subprocess.run(("dpkg", "-x", file, fresh), check=True)
    release = next((fresh / "lib/modules").iterdir()).name
    subprocess.run(("depmod", "-b", fresh, release), check=True)
    file.unlink()
    return fresh.rename(place)


def prepare(kernel: Path, command: str) -> None:
    """Write the initramfs and what the machine reads from its results folder."""
    (modules,) = (kernel / "lib/modules").iterdir()
    order = load_order((modules / "modules.dep").read_text(), WANTED)
    busybox = shutil.which("busybox")
    assert busybox is not None
    files = {"init": (HERE / "init").read_bytes(), "bin/busybox": Path(busybox).read_bytes()}
    files |= {f"modules/{path}": (modules / path).read_bytes() for path in order}
    files["modules/order"] = "\n".join(order).encode()
    folders = sorted({"bin", "dev", *(str(parent) for name in files for parent in Path(name).parents if str(parent) != ".")})
    (BUILD / "initramfs").write_bytes(archive(files, folders, dict([CONSOLE, NULL])))
    shutil.copy(HERE / "inside.sh", RESULTS)
    (RESULTS / "command.sh").write_text(command)
    (RESULTS / "modules").write_text(f"{modules}\n")


def boot(kernel: Path, options: argparse.Namespace) -> None:
    (image,) = (kernel / "boot").glob("vmlinuz-*")
    words = [
        "qemu-system-x86_64",
        "-machine",
        "q35",
        "-accel",
        "kvm",
        "-accel",
        "tcg,thread=multi",  # where there is no /dev/kvm
        "-cpu",
        "max,-arch-capabilities",  # nested virtual machines may refuse to set it
        "-smp",
        str(os.cpu_count() or 2),
    ]
    words += ["-m", str(options.memory), "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-net", "none"]
    words += ["-kernel", str(image), "-initrd", str(BUILD / "initramfs"), "-append", f"{BOOT} lab_folder={RESULTS}"]
    share = "security_model=none,multidevs=remap"
    words += ["-virtfs", f"local,path=/,mount_tag=host,readonly=on,{share}"]
    words += ["-virtfs", f"local,path={RESULTS},mount_tag=results,{share}"]
    try:
        subprocess.run(words, stdin=subprocess.DEVNULL, timeout=options.hours * 3600, check=False)
    except subprocess.TimeoutExpired:
        print(f"the virtual machine was ended after {options.hours:g} hours", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
