import re
from importlib.metadata import version

from protocol.version import VERSION


def test_the_version_is_the_installed_package_s() -> None:
    assert version("covey") == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", VERSION)
