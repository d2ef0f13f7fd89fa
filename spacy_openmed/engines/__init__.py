"""Engines run the forward pass. They are given batches and know no texts, tokens or labels."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .registry import make_engine as make_engine

__all__, __getattr__ = lazy(__name__, registry=["make_engine"])
