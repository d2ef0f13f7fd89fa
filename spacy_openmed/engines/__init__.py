"""Engines run the forward pass. They are given batches and know no texts, tokens or labels."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .selection import make_engine as make_engine

__all__, __getattr__ = lazy(__name__, selection=["make_engine"])
