"""Patterns for spaCy's rulers: aliases of diagnoses, and what a model does not find."""

from typing import Any

from .icd10cm import read_aliases
from .status import STATUS, status_patterns

LABELS = ("DISEASE", "CANCER", STATUS)
SPAN_KEYS = ("openmed", "openmed_hcc")
# Abbreviations that mostly mean something else where no model has called them a disease: room
# air, physical examination, ...
AMBIGUOUS = {
    *("ALS", "CAP", "CF", "CHB", "CHD", "CRI", "HCM", "ICM", "MS", "PE", "RA", "SAH", "SCD", "TAA"),
    "UC",
}
AMBIGUOUS_ID = "AMBIGUOUS"
# Abbreviations that are words in lower case.
CASED = {
    *("ace", "ada", "aids", "all", "als", "ca", "gad", "hit", "ida", "mash", "nash", "pad", "ph"),
    *("psa", "sad", "tb"),
}


def alias_patterns(label: str = "DISEASE") -> list[dict[str, Any]]:
    """Make patterns of our own aliases for spaCy's `entity_ruler`, which finds the abbreviations
    that a model may miss. Abbreviations are found in their own case only, and not at all if they
    mostly mean something else.

    label (str): The label of what is found.
    RETURNS (list[dict[str, Any]]): The patterns, for `phrase_matcher_attr = "LOWER"`.
    """
    patterns: list[dict[str, Any]] = []
    for alias in read_aliases():
        is_short = " " not in alias and sum(map(str.isupper, alias)) > 1
        # In lower case, notes are full of them; but not those that are also words.
        is_cased = is_short and (len(alias) < 3 or alias.lower() in CASED)
        # A mention takes in what follows "with", if the alias has it: see `OpenMedHCC.widen`.
        if alias not in AMBIGUOUS and " with " not in alias:
            patterns.append({"label": label, "pattern": [{"ORTH": alias}] if is_cased else alias})
    return patterns


def hcc_patterns() -> list[dict[str, Any]]:
    """Make patterns for spaCy's `span_ruler` of what a model for diseases does not find: status
    codes, metastases, codes in the text, and the abbreviations that mostly mean something else,
    which count as an entry of their own only.

    RETURNS (list[dict[str, Any]]): The patterns, for `phrase_matcher_attr = "LOWER"`.
    """
    ambiguous = [
        {"label": LABELS[0], "pattern": [{"ORTH": alias}], "id": AMBIGUOUS_ID}
        for alias in sorted(AMBIGUOUS)
    ]
    return [*status_patterns(), *ambiguous]
