"""Knowledge graphs of documents, and the formats that they are written in."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .builder import GraphBuilder as GraphBuilder
    from .export import write_graph as write_graph

__all__, __getattr__ = lazy(
    __name__,
    builder=["GraphBuilder"],
    export=["write_graph"],
)
