"""The component `openmed_context`: what is asserted of entities."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .component import OpenMedContext as OpenMedContext

EXPORTS = {
    "OpenMedContext": "component",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
