"""Read JSONL: of doccano, Prodigy, and our own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..encoding import UTF8
from .documents import Change, Mention, SourceDocument
from .reading import id_of, malformed, read_json_lines

# The JSONL formats, and a description of their lines.
JSONL = {
    "jsonl": '{"id": ..., "text": ..., "entities": [[start, end, label], ...]}',
    "doccano": '{"text": ..., "label": [[start, end, label], ...]}, or with "entities": '
    '[{"start_offset": ..., "end_offset": ..., "label": ...}, ...]',
    "prodigy": '{"text": ..., "spans": [{"start": ..., "end": ..., "label": ...}, ...], '
    '"answer": "accept"}',
}


def read_jsonl(path: Path, encoding: str = UTF8, format: str = "jsonl") -> Iterator[SourceDocument]:
    """Read JSON lines. Each has one of three layouts:

    - our own: {"id", "text", "entities": [[start, end, label], ...], "relations": [[type, head,
      tail], ...]}, where head and tail are the index of an entity or a concept id. Optional:
      "ids", a concept id per entity, and "discontinuous", indices of entities with gaps.
    - doccano's: "label" or "labels" in place of "entities"; or, with relations, "entities":
      [{"id", "start_offset", "end_offset", "label"}, ...] and "relations": [{"from_id", "to_id",
      "type"}, ...]. "data" may stand in place of "text".
    - Prodigy's: "spans": [{"start", "end", "label"}, ...] and "relations": [{"head_span",
      "child_span", "label"}, ...]. Documents whose "answer" is not "accept" are left out, and
      counted with the one before, or the first.
    """
    waiting: SourceDocument | None = None
    n_rejected = 0
    for number, row in read_json_lines(path, format, encoding):
        try:
            if row.get("answer", "accept") != "accept":
                n_rejected += 1
                continue
            document = _to_document(row, f"{path.stem}-{number}")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            reason = str(error) if isinstance(error, _BadRow) else ""
            raise malformed(path, number, format, JSONL[format], reason) from None
        if waiting is not None:
            waiting.changes[Change.REJECTED] += n_rejected
            n_rejected = 0
            yield waiting
        waiting = document
    if waiting is not None:
        waiting.changes[Change.REJECTED] += n_rejected
        yield waiting


class _BadRow(ValueError):
    """What is wrong with a row, without quoting it."""


def _to_document(row: dict[str, Any], default_id: str) -> SourceDocument:
    text = row.get("text", row.get("data"))
    if not isinstance(text, str):
        raise _BadRow("There is no text, or it is not a string. ")
    document = SourceDocument(id_of(row, default_id), text)
    if "spans" in row or "answer" in row:
        _add_prodigy(document, row)
        return document
    names = [name for name in ("entities", "label", "labels") if name in row]
    if not names:
        raise _BadRow("There are no entities. ")
    entities = row[names[0]]
    if not isinstance(entities, list):
        raise _BadRow("The entities are not a list. ")
    if any(isinstance(entity, dict) for entity in entities):
        _add_doccano(document, row)
        return document
    concepts = row.get("ids") or [""] * len(entities)
    gaps = set(row.get("discontinuous", []))
    if any(not isinstance(entity, list) or len(entity) != 3 for entity in entities):
        raise _BadRow("An entity is not [start, end, label]. ")
    for i, ((start, end, label), concept) in enumerate(zip(entities, concepts, strict=True)):
        place = _place(start, end)
        document.mentions.append(
            Mention((place,), str(label), concept=str(concept or ""), has_gaps=i in gaps)
        )
    for relation in row.get("relations") or []:
        if isinstance(relation, dict):  # doccano's, of a document without entities
            document.add_relation("", [None, None])
            continue
        kind, *args = relation
        known = [a if isinstance(a, str) or 0 <= a < len(entities) else None for a in args]
        document.add_relation(str(kind), known)
    return document


def _add_doccano(document: SourceDocument, row: dict[str, Any]) -> None:
    index: dict[Any, int | None] = {}
    for i, entity in enumerate(row["entities"]):
        place = _place(entity["start_offset"], entity["end_offset"])
        document.mentions.append(Mention((place,), str(entity["label"])))
        index[entity.get("id")] = i
    for relation in row.get("relations") or []:
        ends: list[int | str | None] = [index.get(relation[k]) for k in ("from_id", "to_id")]
        document.add_relation(str(relation["type"]), ends)


def _add_prodigy(document: SourceDocument, row: dict[str, Any]) -> None:
    index: dict[tuple[int, int, str], int] = {}
    for i, span in enumerate(_as_list(row.get("spans"))):
        start, end = place = _place(span["start"], span["end"])
        document.mentions.append(Mention((place,), str(span["label"])))
        index[start, end, str(span["label"])] = i
    for relation in _as_list(row.get("relations")):
        ends: list[int | str | None] = [
            index.get((span["start"], span["end"], str(span["label"])))
            for span in (relation["head_span"], relation["child_span"])
        ]
        document.add_relation(str(relation["label"]), ends)


def _place(start: Any, end: Any) -> tuple[int, int]:
    if any(isinstance(at, bool) or not isinstance(at, int) for at in (start, end)):
        raise _BadRow("Start or end of an entity is not a whole number. ")
    return start, end


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _BadRow("The entities or relations are not a list. ")
    return value
