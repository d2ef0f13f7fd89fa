"""The component `openmed_relation`: relations of chemicals and diseases."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .component import OpenMedRelation as OpenMedRelation
    from .component import Relation as Relation

__all__, __getattr__ = lazy(__name__, component=["OpenMedRelation", "Relation"])
