"""The first files of the lab's virtual machine."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.kernel.initramfs import archive, load_order

DEPENDENCIES = "fs/9p.ko: net/9pnet.ko fs/netfs.ko\nnet/9pnet.ko:\nfs/netfs.ko:\nnet/9pnet_virtio.ko: net/9pnet.ko\n"


def test_modules_come_after_what_they_need_and_only_once() -> None:
    assert load_order(DEPENDENCIES, ["9pnet_virtio", "9p"]) == ["net/9pnet.ko", "net/9pnet_virtio.ko", "fs/netfs.ko", "fs/9p.ko"]


def test_a_module_that_the_kernel_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="overlay"):
        load_order(DEPENDENCIES, ["overlay"])


@pytest.mark.skipif(shutil.which("busybox") is None, reason="needs busybox, which unpacks what the kernel would")
def test_the_archive_unpacks_to_what_went_in(tmp_path: Path) -> None:
    packed = archive({"bin/sh": b"#!odd", "init": b"even"}, ["bin"], {})
    subprocess.run(("busybox", "cpio", "-i"), input=packed, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "bin/sh").read_bytes() == b"#!odd"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755
