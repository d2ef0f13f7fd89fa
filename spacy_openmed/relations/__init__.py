"""The component `openmed_relation`: relations of chemicals and diseases."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .component import OpenMedRelation as OpenMedRelation
    from .component import Relation as Relation

EXPORTS = {
    "OpenMedRelation": "component",
    "Relation": "component",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
