"""Moved to `spacy_openmed.batch.spark`."""

from ._moved import warn_of_move
from .batch.spark import annotate as annotate

warn_of_move(__name__, "spacy_openmed.batch.spark")
