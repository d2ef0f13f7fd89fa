"""Moved to `spacy_openmed.batch.ray`."""

from ._moved import warn_of_move
from .batch.ray import annotate as annotate

warn_of_move(__name__, "spacy_openmed.batch.ray")
