"""Modules that have moved: the old ones import the new ones, and warn."""

import warnings


def warn_of_move(old: str, new: str) -> None:
    """Warn whoever imports a module under its old name.

    old (str): The old name.
    new (str): The new one.
    """
    warnings.warn(f"{old} is now {new}.", DeprecationWarning, stacklevel=3)
