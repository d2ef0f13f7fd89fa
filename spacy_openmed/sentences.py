"""Sentence starts for documents that have none: at full stops, and at lines of a note."""

from functools import cache

from spacy.pipeline import Sentencizer
from spacy.tokens import Doc

# Lines of a wrapped paragraph are about this long, those of a list seldom are.
WRAPPED = 40


def set_sentence_starts(doc: Doc) -> None:
    """Set the sentence starts of a document, unless it has some.

    A new line begins a sentence. It does not where a long line goes on: where the next one begins
    in lower case, or the line ends in a comma.

    doc (Doc): The document.
    """
    if not len(doc) or doc.has_annotation("SENT_START"):
        return
    sentencizer = _sentencizer()
    (starts,) = sentencizer.predict([doc])
    line = 0  # where the line begins, as a token
    for token in doc:
        if "\n" not in token.text:
            continue
        if token.i + 1 < len(doc) and not _goes_on(doc, line, token.i):
            starts[token.i + 1] = True
        line = token.i + 1
    sentencizer.set_annotations([doc], [starts])


def _goes_on(doc: Doc, line: int, end: int) -> bool:
    """Whether a paragraph goes on after the line that ends with token `end`."""
    if doc[end].text.count("\n") > 1 or end == line:  # a blank line
        return False
    is_long = doc[end].idx - doc[line].idx >= WRAPPED
    return is_long and (doc[end + 1].is_lower or doc[end - 1].text == ",")


@cache
def _sentencizer() -> Sentencizer:
    return Sentencizer(name="sentencizer")
