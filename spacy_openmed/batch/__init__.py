"""Annotate tables and files of texts: in one process, in shards, on Ray and on Spark."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .annotator import Annotator as Annotator
    from .annotator import annotate as annotate

EXPORTS = {
    "Annotator": "annotator",
    "annotate": "annotator",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
