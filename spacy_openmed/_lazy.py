"""Packages whose public names are imported when they are first used."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def load(package: str, name: str, exports: Mapping[str, str]) -> Any:
    """Get a public name of a package, for its `__getattr__`.

    package (str): The package.
    name (str): The name.
    exports (Mapping[str, str]): The package's public names, each with the module that has it.
    RETURNS (Any): What has that name.
    RAISES (AttributeError): If the package has no such name.
    """
    if name not in exports:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(import_module(f"{package}.{exports[name]}"), name)
