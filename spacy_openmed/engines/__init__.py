"""Engines run the forward pass. They are given batches and know no texts, tokens or labels."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .selection import make_engine as make_engine

EXPORTS = {
    "make_engine": "selection",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
