import re
import subprocess
import sys
from importlib.metadata import version

from protocol.version import VERSION

UNINSTALLED = """
import importlib.metadata as metadata
def version(name):
    raise metadata.PackageNotFoundError(name)
metadata.version = version
import protocol.version
print(protocol.version.VERSION)
"""


def test_the_version_is_the_installed_package_s() -> None:
    assert version("covey") == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", VERSION)


def test_a_source_tree_that_was_not_installed_has_a_version_too() -> None:
    done = subprocess.run([sys.executable, "-c", UNINSTALLED], capture_output=True, text=True, check=True)
    assert done.stdout == "0.0.0\n"
