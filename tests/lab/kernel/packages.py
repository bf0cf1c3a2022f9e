"""Debian's packages, unpacked without being installed."""

import shutil
import subprocess
from pathlib import Path


def fetch(metapackage: str, starts_with: str, place: Path) -> None:
    """Unpack the package of that beginning that a metapackage stands for into `place`, afresh."""
    depends = subprocess.run(("apt-cache", "depends", metapackage), capture_output=True, text=True, check=True).stdout
    package = next(line.split()[-1] for line in depends.splitlines() if f"Depends: {starts_with}" in line)
    print(f"fetching {package}", flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    for old in place.parent.glob(f"{starts_with}-*.deb"):
        old.unlink()
    subprocess.run(("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package), cwd=place.parent, check=True)
    shutil.rmtree(place, ignore_errors=True)
    (file,) = place.parent.glob(f"{starts_with}-*.deb")
    subprocess.run(("dpkg", "-x", file, place), check=True)
    file.unlink()
