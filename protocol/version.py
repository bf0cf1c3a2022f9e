"""Covey's version."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("covey")
except PackageNotFoundError:  # a source tree that was not installed
    VERSION = "0.0.0"
