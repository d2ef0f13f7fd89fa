"""The component `openmed_ner`: the way of a text is `component`, `model`, `plan`, the engine,
`alignment`, `decoding`, `extraction`, `document`; that of a training example ends in `targets` and
`loss`."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .component import OpenMedNER as OpenMedNER

__all__, __getattr__ = lazy(__name__, component=["OpenMedNER"])
