"""Moved to `spacy_openmed.deid`."""

from ._moved import warn_of_move
from .deid.anonymize import decrypt as decrypt
from .deid.anonymize import deidentify as deidentify
from .deid.audit import Deidentified as Deidentified
from .deid.audit import Replacement as Replacement
from .deid.audit import carry_over as carry_over

warn_of_move(__name__, "spacy_openmed.deid")
