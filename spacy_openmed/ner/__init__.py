"""The component `openmed_ner`: the way of a text is `component`, `model`, `plan`, the engine,
`alignment`, `decoding`, `extraction`, `document`; that of a training example ends in `targets`."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .component import OpenMedNER as OpenMedNER

EXPORTS = {
    "OpenMedNER": "component",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
