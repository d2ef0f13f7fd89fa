"""Moved to `spacy_openmed.page`."""

from ._moved import warn_of_move
from .page.page import make_app as make_app

warn_of_move(__name__, "spacy_openmed.page")
