"""What a pipeline finds beside entities, and the columns that a table keeps it in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import registry

from ..errors import Errors, missing_extra
from ..extensions import SPAN_ATTRIBUTES, register_extensions
from ..idle import may_set_more
from ..spans import OFFSETS, SCORES
from ..suggestions import nearest

try:
    import pyarrow as pa
except ImportError as error:
    raise missing_extra("batch", error) from error

KB_ID = "kb_id"
IDENTIFIERS = "identifiers"
CONTEXT = tuple(SPAN_ATTRIBUTES["openmed_context"])
# The types of attributes that are not true or false.
ATTRIBUTE_TYPES = {"context": pa.string(), "context_score": pa.float32()}
_FROM_TO = pa.list_(pa.int32())


@dataclass(frozen=True)
class Findings:
    """What the components of a pipeline say that they set.

    attributes (frozenset[str]): Extension attributes of spans.
    columns (tuple[str, ...]): Names of `COLUMNS`, for what is found of a whole document.
    kb_ids (bool): Whether entities may have ids of a knowledge base.
    is_open (bool): Whether other people's components may set attributes without saying so.
    """

    attributes: frozenset[str]
    columns: tuple[str, ...] = ()
    kb_ids: bool = False
    is_open: bool = False

    @property
    def context(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The attributes of the clinical context."""
        return tuple(name for name in CONTEXT if name in self.attributes)

    def check(self, attributes: Sequence[str], *, loaded: bool = False) -> None:
        """Raise an error for an attribute that no component sets.

        attributes (Sequence[str]): Extension attributes of spans.
        loaded (bool): Whether the pipeline is loaded in this process, so that other people's
            attributes are registered.
        RAISES (ValueError): If no component sets one.
        """
        for name in attributes:
            may_be = self.is_open and (Span.has_extension(name) or not loaded)
            if name in self.attributes or may_be:
                continue
            ours = {own: f for f, names in SPAN_ATTRIBUTES.items() for own in names}
            near = "" if name in ours else nearest(name, {*ours, *self.attributes})
            meant = [own for own in ours if own == name or repr(own) in near]
            add = " or ".join(sorted({ours[own] for own in meant if own not in self.attributes}))
            if not near:
                add = add or "a component that sets it"
            raise ValueError(
                Errors.OM350.format(
                    name=name,
                    nearest=near,
                    add=f" Add {add} to the pipeline, and save it again." if add else "",
                    known=", ".join(sorted(self.attributes)) or "none",
                )
            )


def find_findings(nlp: Language) -> Findings:
    """RETURNS (Findings): What a pipeline finds."""
    return _find(type(nlp), [nlp.get_pipe_meta(name).factory for name in nlp.pipe_names])


def read_findings(model: str) -> Findings:
    """Find out what a pipeline finds without loading it, for a machine that may not be able to.

    model (str): Path or package name of a pipeline, or settings of `openmed_ner` in JSON.
    RETURNS (Findings): What it finds.
    """
    if model.startswith("{"):
        return Findings(frozenset())
    config = read_config(model)
    nlp = config.get("nlp", {})
    names = [name for name in nlp.get("pipeline", ()) if name not in nlp.get("disabled", ())]
    factories = [config["components"][name]["factory"] for name in names]
    return _find(spacy.util.get_lang_class(nlp.get("lang") or "en"), factories)


def read_config(model: str) -> dict[str, Any]:
    """Read the config of a pipeline.

    model (str): Its path or package name.
    RETURNS (dict[str, Any]): The config; empty if it has none.
    RAISES (OSError): If there is no such pipeline.
    """
    path = Path(model)
    if not path.is_dir():
        if not spacy.util.is_package(model):
            raise OSError(SpacyErrors.E050.format(name=model))
        path = spacy.util.get_package_path(model)
    configs = sorted(path.glob("**/config.cfg"), key=lambda p: len(p.parts))
    return spacy.util.load_config(configs[0]) if configs else {}


def _find(cls: type[Language], factories: Sequence[str]) -> Findings:
    assigned: set[str] = set()
    is_open = False
    for factory in factories:
        own = cls.get_factory_name(factory)
        if not cls.has_factory(factory):  # its package is not on this machine
            is_open = True
            continue
        function = registry.factories.get(own if own in registry.factories else factory)
        meta = cls.get_factory_meta(factory)
        assigned.update(meta.assigns)
        is_open = is_open or may_set_more(function, meta)
    return Findings(
        frozenset(name[len("span._.") :] for name in assigned if name.startswith("span._.")),
        tuple(name for name, column in COLUMNS.items() if column.factory in factories),
        is_open or "token.ent_kb_id" in assigned,
        is_open,
    )


@dataclass(frozen=True)
class Column:
    """A column for what a component finds of a whole document.

    factory (str): The component's factory.
    type (pa.DataType): The column's type.
    read (Callable[[Doc], list[dict[str, Any]]]): Reads what a document's row has there.
    write (Callable[[Doc, Any], None]): Writes it to a document again.
    """

    factory: str
    type: Any
    read: Callable[[Doc], list[dict[str, Any]]]
    write: Callable[[Doc, Any], None]


def _read_identifiers(doc: Doc) -> list[dict[str, Any]]:
    rows = []
    for group in doc.spans.values():
        if IDENTIFIERS not in group.attrs:
            continue
        columns = [list(group.attrs.get(name, ())) for name in (OFFSETS, SCORES, IDENTIFIERS)]
        # Other components may have added spans, or taken some away.
        columns = [c if len(c) == len(group) else [None] * len(group) for c in columns]
        for span, offsets, score, identifier in zip(group, *columns, strict=True):
            start, end = offsets or (span.start_char, span.end_char)
            row = {"start": start, "end": end, "label": span.label_}
            rows.append({**row, "score": score, "identifier": identifier})
    return rows


def _write_identifiers(doc: Doc, rows: Any) -> None:
    spans = [make_span(doc, row["start"], row["end"], row["label"]) for row in rows]
    attrs = {IDENTIFIERS: [row["identifier"] for row in rows]}
    doc.spans["phi"] = SpanGroup(doc, name="phi", spans=spans, attrs=attrs)


def make_span(doc: Doc, start: int, end: int, label: str, kb_id: str | None = None) -> Span:
    """RETURNS (Span): The tokens that have any of these characters.
    RAISES (ValueError): If the text has no such characters."""
    span = doc.char_span(start, end, label, kb_id or 0, alignment_mode="expand")
    if span is None:
        raise ValueError(Errors.OM346)
    return span


def _read_attribute(name: str) -> Callable[[Doc], list[dict[str, Any]]]:
    return lambda doc: list(doc._.get(name) or ())


def _write_attribute(name: str) -> Callable[[Doc, Any], None]:
    def write(doc: Doc, rows: Any) -> None:
        register_extensions()
        doc._.set(name, rows)

    return write


COLUMNS = {
    "relations": Column(
        "openmed_relation",
        pa.list_(
            pa.struct(
                [
                    *((name, pa.string()) for name in ("label", "head", "tail")),
                    ("score", pa.float64()),
                    (
                        "evidence",
                        pa.list_(
                            pa.struct([(name, _FROM_TO) for name in ("head", "tail", "sentence")])
                        ),
                    ),
                ]
            )
        ),
        _read_attribute("relations"),
        _write_attribute("relations"),
    ),
    IDENTIFIERS: Column(
        "openmed_phi",
        pa.list_(
            pa.struct(
                [
                    ("start", pa.int32()),
                    ("end", pa.int32()),
                    ("label", pa.string()),
                    ("score", pa.float32()),
                    ("identifier", pa.string()),
                ]
            )
        ),
        _read_identifiers,
        _write_identifiers,
    ),
    "hcc": Column(
        "openmed_hcc",
        pa.list_(
            pa.struct(
                [
                    ("code", pa.string()),
                    ("description", pa.string()),
                    ("score", pa.float64()),
                    ("how", pa.string()),
                    ("hcc_v24", pa.list_(pa.string())),
                    ("hcc_v28", pa.list_(pa.string())),
                    ("start", pa.int32()),
                    ("end", pa.int32()),
                    ("sentence", _FROM_TO),
                    ("historical", pa.bool_()),
                ]
            )
        ),
        _read_attribute("hcc"),
        _write_attribute("hcc"),
    ),
}
