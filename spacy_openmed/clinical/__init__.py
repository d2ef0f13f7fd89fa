"""The component `openmed_context`: what is asserted of entities."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .component import OpenMedContext as OpenMedContext

__all__, __getattr__ = lazy(__name__, component=["OpenMedContext"])
