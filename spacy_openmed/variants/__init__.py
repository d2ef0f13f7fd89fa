"""The component `openmed_variant`: sequence variants, by the rules of their notation."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .component import OpenMedVariant as OpenMedVariant
    from .patterns import find_variants as find_variants

__all__, __getattr__ = lazy(__name__, component=["OpenMedVariant"], patterns=["find_variants"])
