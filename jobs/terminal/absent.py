"""Modules that a command can do without, and that a library would load all the same.

pyarrow looks for pandas with the first Python list that it is given, which takes a quarter of a second where pandas is
installed; no command passes any of its objects on.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Absent(Loader):
    """Finds a module, so that who only asks for it sees it there, and fails to load it as if it were not."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == self.name else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        raise ModuleNotFoundError(f"No module named {self.name!r}", name=self.name)

    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError(self.name)


def leave_out(name: str) -> None:
    """Make this process do without a module, unless it is loaded already."""
    if name not in sys.modules:
        sys.meta_path.insert(0, _Absent(name))
