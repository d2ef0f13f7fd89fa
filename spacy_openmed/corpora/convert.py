"""Convert the files of an annotated corpus to documents."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spacy.language import Language
from spacy.tokens import DocBin

from ..errors import Errors
from .detect import read_documents
from .to_doc import GOLD_KEY, to_doc


@dataclass
class Conversion:
    """The result of a conversion.

    docs (DocBin): The documents.
    counts (Counter[str]): Documents, tokens, relations and mentions.
    entities (Counter[str]): Entities by label.
    changes (Counter[str]): What was changed, and how often.
    places (dict[str, str]): Where the first document with each change is.
    seen (set[str]): The types that the corpus has, by its own names.
    """

    docs: DocBin = field(default_factory=lambda: DocBin(store_user_data=True))
    counts: Counter[str] = field(default_factory=Counter)
    entities: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    places: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)


def convert(
    inputs: Iterable[tuple[Path, str]],
    nlp: Language,
    labels: Mapping[str, str],
    types: Collection[str] = (),
    *,
    canonical: bool = False,
    n_sents: int = 1,
    encoding: str = "utf-8",
) -> Conversion:
    """Convert files.

    inputs (Iterable[tuple[Path, str]]): The files with their formats, see `detect.find_inputs`.
    nlp (Language): The pipeline whose tokenizer splits texts that come without tokens.
    labels (Mapping[str, str]): Other names for types.
    types (Collection[str]): The types to take, by the corpus' names. Empty: all.
    canonical (bool): Whether to use the components' canonical names of types.
    n_sents (int): Sentences per document, for IOB files without document boundaries.
    encoding (str): Encoding of the files.
    RETURNS (Conversion): The documents, and what was counted.
    RAISES (ValueError): If a file is not in its format, or a document can't be made.
    """
    done = Conversion()
    for path, format in inputs:
        sources = read_documents(path, format, n_sents=n_sents, encoding=encoding)
        for number, source in enumerate(sources, 1):
            try:
                doc, changed = to_doc(source, nlp, labels=labels, types=types, canonical=canonical)
                done.docs.add(doc)
            except ValueError as err:  # not its message: it may hold the text
                raise ValueError(
                    Errors.OM259.format(path=path, number=number, error=type(err).__name__)
                ) from None
            done.seen.update(mention.label for mention in source.mentions)
            done.counts.update({"documents": 1, "tokens": len(doc)})
            done.counts["relations"] += len(doc.user_data["relations"])
            done.counts["mentions"] += len(doc.spans[GOLD_KEY])
            done.entities.update(ent.label_ for ent in doc.ents)
            done.changes.update({change.value: n for change, n in changed.items()})
            for change in changed:
                done.places.setdefault(change.value, f"{path}, document {number}")
    return done
