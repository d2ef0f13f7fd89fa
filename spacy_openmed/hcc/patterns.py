"""Patterns for spaCy's rulers: aliases of diagnoses, and codes that a model does not find."""

from typing import Any

from spacy.lang.en import English

from .icd10cm import read_aliases
from .status import STATUS, status_patterns

LABELS = ("DISEASE", "CANCER", STATUS)
SPAN_KEYS = ("openmed", "openmed_hcc")
# Abbreviations that usually mean something else unless a model labels them as a disease: room air,
# physical examination, assisted living facility, ...
AMBIGUOUS = {
    *(
        "ALF",
        "ALS",
        "CAP",
        "CF",
        "CHB",
        "CHD",
        "CLD",
        "CPM",
        "CRI",
        "HCM",
        "ICM",
        "MMP",
        "MS",
        "PE",
    ),
    *("PTB", "RA", "RAS", "SAH", "SCD", "SSA", "TAA", "TOF", "UC"),
}
AMBIGUOUS_ID = "AMBIGUOUS"
# Abbreviations that become words or other abbreviations in another case: "IgE", "PCA pump".
CASED = {
    *("ace", "ada", "aids", "all", "als", "bam", "boo", "ca", "chi", "chl", "clad", "gad", "gist"),
    *("goo", "hit", "ida", "ige", "lam", "mash", "nash", "pacs", "pad", "pca", "ph", "pls", "pots"),
    *("psa", "sad", "spa", "tb", "vad"),
}
# Abbreviations in longer phrases that would be other phrases in lower case: "as severe as before".
CASED_IN_PHRASES = {"ALL", "AS", "FIT"}


def alias_patterns(label: str = "DISEASE") -> list[dict[str, Any]]:
    """Make patterns of our own aliases for spaCy's `entity_ruler`, which finds the abbreviations
    that a model may miss. Case matters for words that mean something else in another case.
    Abbreviations that usually mean something else are left out.

    label (str): The label of the entities.
    RETURNS (list[dict[str, Any]]): The patterns, for `phrase_matcher_attr = "LOWER"`.
    """
    tokenizer = English().tokenizer
    patterns: list[dict[str, Any]] = []
    for alias in read_aliases():
        # `OpenMedHCC.widen` extends a mention over "with", if an alias has it.
        if alias in AMBIGUOUS or " with " in alias:
            continue
        pattern: str | list[dict[str, str]] = alias
        if _is_cased(alias):
            pattern = [{"ORTH": alias}]
        elif not CASED_IN_PHRASES.isdisjoint(alias.split()):
            pattern = [
                {"ORTH": token.text} if token.text in CASED_IN_PHRASES else {"LOWER": token.lower_}
                for token in tokenizer(alias)
            ]
        patterns.append({"label": label, "pattern": pattern})
    return patterns


def _is_cased(alias: str) -> bool:
    """Whether an alias is an abbreviation that matches in its own case only. Notes write many in
    lower case, but two-letter ones and those that are also words then mean something else."""
    is_short = " " not in alias and sum(map(str.isupper, alias)) > 1
    return is_short and (len(alias) < 3 or alias.lower() in CASED)


def hcc_patterns() -> list[dict[str, Any]]:
    """Make patterns for spaCy's `span_ruler` of what a disease model does not find: status codes,
    metastases, codes in the text, and abbreviations that usually mean something else, which only
    count as an entry of their own.

    RETURNS (list[dict[str, Any]]): The patterns, for `phrase_matcher_attr = "LOWER"`.
    """
    ambiguous = [
        {"label": LABELS[0], "pattern": [{"ORTH": alias}], "id": AMBIGUOUS_ID}
        for alias in sorted(AMBIGUOUS)
    ]
    return [*status_patterns(), *ambiguous]
