"""Loads of large packages only the modules that are used: a helper that runs for weeks keeps in memory whatever it ever imports.

Importing a module of a package runs the package's `__init__` first, and those of `pyroute2` and `aioice` import a database and
a DNS resolver for things that the helper never uses: some 10 MB.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

LARGE = ("aioice", "pyroute2")


class _Package(types.ModuleType):
    """A package whose `__init__` runs when something of its own is asked for, rather than one of its modules."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__spec__ is None or self.__spec__.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
            return importlib.import_module(f"{self.__name__}.{name}")
        self.__class__ = types.ModuleType  # type: ignore[assignment]
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def load_only_what_is_used() -> None:
    """Do so from now on; a package that is loaded already, or not there, is left alone."""
    for name in LARGE:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            sys.modules[name] = _package(spec)


def _package(spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
    module = _Package(spec.name)
    module.__spec__, module.__loader__, module.__package__, module.__file__ = spec, spec.loader, spec.name, spec.origin
    module.__path__ = spec.submodule_search_locations  # type: ignore[assignment]
    return module
