"""What the rules of `openmed_context` say of mentions, compared with what is expected."""

from collections.abc import Mapping

import spacy
from spacy.language import Language

LETTERS = {"is_negated": "N", "is_hypothetical": "Y", "is_historical": "H", "is_family": "F"}


def make_rules() -> Language:
    """A pipeline of rules alone, for the span group "mentions"."""
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_context", config={"source": "rules", "span_keys": ["mentions"]})
    return nlp


def find_context(nlp: Language, text: str, mentions: Mapping[str, str], label: str) -> list[str]:
    """What differs from the expected context: letters for what is not present ("|" for "or") or,
    for drugs, its name."""
    doc = nlp.make_doc(text)
    starts = [text.index(mention) for mention in mentions]
    ends = [start + len(mention) for start, mention in zip(starts, mentions, strict=True)]
    doc.spans["mentions"] = [
        doc.char_span(start, end, label=label, alignment_mode="expand")
        for start, end in zip(starts, ends, strict=True)
    ]
    wrong = []
    for span, (mention, expected) in zip(nlp(doc).spans["mentions"], mentions.items(), strict=True):
        letters = "".join(letter for name, letter in LETTERS.items() if span._.get(name))
        found = span._.context if label == "DRUG" else letters
        if found not in expected.split("|"):
            wrong.append(f"{mention}: {found!r} for {expected!r}")
    return wrong
