"""Moved to `spacy_openmed.graph`."""

from ._moved import warn_of_move
from .graph.export import write_graph as write_graph

warn_of_move(__name__, "spacy_openmed.graph")
