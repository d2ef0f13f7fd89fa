"""Packages whose public names are imported when they are first used."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any


def lazy(package: str, **modules: Sequence[str]) -> tuple[list[str], Callable[[str], Any]]:
    """Make a package import its public names when they are asked for. Type checkers know them by
    imports under `TYPE_CHECKING`.

    package (str): The package.
    **modules (Sequence[str]): The public names of each of its modules.
    RETURNS (tuple[list[str], Callable[[str], Any]]): The package's `__all__` and `__getattr__`.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    return sorted(module_of), get
