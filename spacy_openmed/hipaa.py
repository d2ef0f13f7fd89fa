"""Moved to `spacy_openmed.deid`."""

from ._moved import warn_of_move
from .deid.identifiers import IDENTIFIERS as IDENTIFIERS

warn_of_move(__name__, "spacy_openmed.deid")
