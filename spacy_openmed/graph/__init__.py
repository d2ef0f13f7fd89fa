"""Knowledge graphs of documents, and the formats that they are written in."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .builder import GraphBuilder as GraphBuilder
    from .export import write_graph as write_graph

EXPORTS = {
    "GraphBuilder": "builder",
    "write_graph": "export",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
