"""Annotate tables and files of texts: in one process, in shards, on Ray and on Spark."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .annotator import Annotator as Annotator
    from .annotator import annotate as annotate

__all__, __getattr__ = lazy(__name__, annotator=["Annotator", "annotate"])
