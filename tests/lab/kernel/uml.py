"""User-mode Linux: Debian's kernel, compiled as a program of this machine. It needs no virtualisation, and has one processor."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.kernel.packages import fetch

HERE = Path(__file__).parent
CONFIG = HERE / "uml.config"
METAPACKAGE, SOURCE = "linux-source", "linux-source"
PROGRAMS = ("make", "gcc", "flex", "bison", "bc", "xz", "bzip2", "pivot_root")
MEMORY = Path("/dev/shm")  # a file there is its memory: of what was touched, on no disk
BOOT = "rootfstype=hostfs rootflags=/ ro con=null con0=null,fd:1 quiet panic=-1 net.ifnames=0"
FILES = 1600  # that make compiles, roughly
TOLD_EACH = 250  # files


def prepare(build: Path, results: Path, memory: int) -> list[str]:
    """Compile the kernel, once, and say how to start it. Raises OSError where its memory (in MB) has no room."""
    free = shutil.disk_usage(MEMORY).free >> 20
    if free < memory:
        raise OSError(f"user-mode Linux keeps its memory in {MEMORY}, where {free} MB of {memory} are free; see --memory")
    linux = _kernel(build)
    names = (f"mem={memory}M", f"init={HERE / 'init.uml'}", f"lab_folder={results}", f"uml_dir={MEMORY}/covey-lab")
    return ["env", f"TMPDIR={MEMORY}", str(linux), *names, *BOOT.split()]


def _kernel(build: Path) -> Path:
    """The program: compiled anew only where the options changed."""
    place, fresh = build / "uml", build / "uml.new"
    wanted = CONFIG.read_text()
    if not place.exists() or (place / CONFIG.name).read_text() != wanted:
        shutil.rmtree(fresh, ignore_errors=True)
        fetch(METAPACKAGE, SOURCE, fresh / "package")
        _compile(fresh, build / "uml.log")
        (fresh / CONFIG.name).write_text(wanted)
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    return place / "linux"


def _compile(fresh: Path, log: Path) -> None:
    """Leave nothing in the folder but the program."""
    tree, package = fresh / "tree", fresh / "package"
    cores = len(os.sched_getaffinity(0))
    print(f"compiling the kernel, this once: some 8 minutes of a processor's time, {cores} of which share it", flush=True)
    tree.mkdir()
    (archive,) = package.rglob("linux-source-*.tar.*")
    subprocess.run(("tar", "-xf", archive, "--strip-components=1"), cwd=tree, check=True)
    shutil.rmtree(package)
    # What a `make` around us says of its own targets and variables is not for this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    with log.open("w") as output:
        for words in (
            ("make", "ARCH=um", "defconfig"),
            ("scripts/kconfig/merge_config.sh", "-m", ".config", str(CONFIG)),
            ("make", "ARCH=um", "olddefconfig"),
        ):
            subprocess.run(words, cwd=tree, check=True, env=environment, stdout=output, stderr=output)
        words = ("make", "ARCH=um", f"-j{cores}", "linux")
        with subprocess.Popen(words, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=output, text=True) as make:
            assert make.stdout is not None
            for done, line in enumerate(make.stdout, start=1):
                output.write(line)
                if done % TOLD_EACH == 0:
                    print(f"compiled {done} files of some {FILES}", flush=True)
    if make.returncode:
        raise OSError(f"the kernel did not compile; see {log}")
    shutil.copy(tree / "linux", fresh / "linux")
    shutil.rmtree(tree)
