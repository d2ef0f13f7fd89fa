"""Process texts, each in a row of its own: one that fails costs no other."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from spacy.language import Language
from spacy.tokens import Doc

from ..errors import Errors, describe
from ..extensions import ATTRIBUTE_TYPES
from ..spans import read_spans
from .findings import KB_ID
from .pipelines import find_ner, lock_of

ENTITIES, ERROR = "entities", "error"
Value = TypeVar("Value")


def process(nlp: Language, values: Iterable[Any]) -> list[Doc | str]:
    """Apply a pipeline to texts, some of which may not be any. The pipeline's error handlers are
    not called.

    nlp (Language): The pipeline.
    values (Iterable[Any]): The texts: str, bytes in UTF-8, pyarrow scalars of these, or whatever
        stands in their place.
    RETURNS (list[Doc | str]): A document for each, or what is wrong with it: the first error, if
        any of the components gave the document up.
    RAISES (OSError, ValueError): If an `openmed_ner` can't process any text: its checkpoint is not
        there, or can't do what the settings ask for.
    """
    results: list[Any] = []
    docs: dict[int, Doc] = {}
    with lock_of(nlp):
        for pipe in find_ner(nlp):
            pipe.check_settings()
        for i, value in enumerate(values):
            try:
                docs[i] = nlp.make_doc(read_text(value))
                results.append(None)
            except Exception as error:
                results.append(describe(error))
        known = _process_batch(nlp, docs)
        for i, doc in docs.items():
            results[i] = known[i] if i in known else _process_alone(nlp, doc.text)
    return results


def _process_batch(nlp: Language, docs: Mapping[int, Doc]) -> dict[int, Doc | str]:
    """Apply a pipeline to a batch. What came of each document, of those where that is certain:
    some components give up a whole batch for one document, or return other documents."""
    numbers = {id(doc): i for i, doc in docs.items()}
    failed: list[tuple[list[int | None], str]] = []
    out: list[Any] = []

    def note(_name: str, _proc: Any, given_up: Sequence[Doc], error: Exception) -> None:
        failed.append(([numbers.get(id(doc)) for doc in given_up], describe(error)))

    try:
        with _handling_errors(nlp, note):
            for doc in nlp.pipe(docs.values()):
                out.append(doc)
    except Exception:  # of a component that leaves nothing to the error handler
        pass
    known = _match(docs, out)
    for given_up, _ in failed:  # they may have come out all the same
        if None in given_up:  # a document that a component has put in the place of ours
            return {}
        for i in given_up:
            known.pop(i, None)
    for given_up, error in reversed(failed):  # the first error counts
        if len(given_up) == 1:
            known[given_up[0]] = error
    return known


def _match(docs: Mapping[int, Doc], out: Sequence[Any]) -> dict[Any, Doc | str]:
    """The documents that came out of a pipeline, by the number of the text; none if it is not
    certain which is which."""
    numbers = {id(doc): i for i, doc in docs.items()}
    found = {numbers.get(id(doc)): doc for doc in out}
    if len(found) == len(out) and None not in found:
        return found
    if [getattr(doc, "text", None) for doc in out] == [doc.text for doc in docs.values()]:
        return dict(zip(docs, out, strict=True))
    return {}


def _process_alone(nlp: Language, text: str) -> Doc | str:
    """Apply a pipeline to one text, component by component."""
    errors: list[str] = []

    def note(_name: str, _proc: Any, _given_up: Sequence[Doc], error: Exception) -> None:
        errors.append(describe(error))

    try:
        doc = nlp.make_doc(text)
        with _handling_errors(nlp, note):
            for name, proc in nlp.pipeline:
                out = [*proc.pipe([doc], batch_size=1)] if hasattr(proc, "pipe") else [proc(doc)]
                if errors:
                    break
                if not out:
                    return Errors.OM303
                if len(out) > 1:
                    return Errors.OM304.format(name=name, n=len(out))
                if not isinstance(out[0], Doc):
                    return Errors.OM305.format(name=name, type=type(out[0]).__name__)
                [doc] = out
    except Exception as error:
        errors.append(describe(error))
    return errors[0] if errors else doc


@contextmanager
def _handling_errors(nlp: Language, handler: Callable[..., None]) -> Iterator[None]:
    """Set a pipeline's error handler, and restore those that were there."""
    default = nlp.default_error_handler
    handlers: list[tuple[Any, Callable]] = []
    nlp.default_error_handler = handler  # type: ignore[assignment]
    try:
        procs: list[Any] = [proc for _, proc in nlp.pipeline]
        for proc in procs:
            before = proc.get_error_handler() if hasattr(proc, "get_error_handler") else default
            # In spaCy 3.8, parsers have the method, and no place for what it sets.
            with suppress(AttributeError):
                proc.set_error_handler(handler)
                handlers.append((proc, before))
        yield
    finally:
        nlp.default_error_handler = default
        for proc, before in handlers:
            proc.set_error_handler(before)


def read_text(value: Any) -> str:
    """Make a text of a value.

    value (Any): A value of a table, a pyarrow scalar or Python's own.
    RETURNS (str): The text.
    RAISES (ValueError): If it is not a string, or not valid Unicode.
    """
    try:
        value = value.as_py() if hasattr(value, "as_py") else value  # a scalar of pyarrow
        if isinstance(value, bytes):
            value = value.decode("utf8")
        if isinstance(value, str):
            value.encode("utf8")
    except UnicodeDecodeError:
        raise ValueError(Errors.OM302.format(encoding="UTF-8")) from None
    except UnicodeEncodeError:
        raise ValueError(Errors.OM308.format(what="text")) from None
    if not isinstance(value, str):
        kind = "null" if value is None else type(value).__name__
        raise ValueError(Errors.OM301.format(kind=kind))
    return value


def read_result(result: Doc | str, read: Callable[[Doc], Value]) -> tuple[Value | None, str | None]:
    """Read what `process` gave for a text.

    result (Doc | str): A document, or what is wrong with it.
    read (Callable[[Doc], Value]): Reads a document.
    RETURNS (tuple[Value | None, str | None]): What it read, or what is wrong.
    """
    if isinstance(result, str):
        return None, result
    try:
        return read(result), None
    except Exception as error:
        return None, describe(error)


def _read_attribute(span: Any, name: str) -> Any:
    value = span._.get(name)
    return value if name in ATTRIBUTE_TYPES else bool(value)


def read_entities(
    doc: Doc, keys: Sequence[str], attributes: Sequence[str] = (), *, kb_ids: bool = False
) -> list[dict[str, Any]]:
    """Read the entities of a document: those of span groups, and others in `doc.ents`.

    doc (Doc): The document.
    keys (Sequence[str]): The span groups.
    attributes (Sequence[str]): Extension attributes of spans to add, true or false but for those
        of `ATTRIBUTE_TYPES`.
    kb_ids (bool): Whether to add ids of a knowledge base.
    RETURNS (list[dict[str, Any]]): The entities in the order of the text.
    """
    rows: dict[tuple[int, int, str], dict[str | None, dict[str, Any]]] = {}

    def add(span: Any, score: float | None, datasets: Sequence[str] | None) -> None:
        row = {
            "start": span.start_char,
            "end": span.end_char,
            "label": span.label_,
            "score": score,
            "text": span.text,
            "dataset": ", ".join(datasets) if datasets else None,
            **{name: _read_attribute(span, name) for name in attributes},
        }
        by_id = rows.setdefault((span.start_char, span.end_char, span.label_), {})
        kb_id = (span.kb_id_ or None) if kb_ids else None
        if kb_ids:
            row[KB_ID] = kb_id
        if kb_id and None in by_id:  # a linker has set the id of one of two that are the same
            by_id[kb_id] = by_id.pop(None) | {KB_ID: kb_id}
        elif kb_id or not by_id:
            by_id.setdefault(kb_id, row)

    for key in keys:
        for own in read_spans(doc, key):
            add(own.span, own.score, own.datasets)
    for ent in doc.ents:
        add(ent, None, None)
    return [row for at in sorted(rows) for row in rows[at].values()]
