"""Warn of components that have nothing to work on, for want of another component before them.

spaCy's `nlp.analyze_pipes` tells of attributes that no component sets, if one asks for it. It does
not know labels, which decide here.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

from spacy.language import FactoryMeta, Language
from spacy.tokens import Doc, Span

from .errors import Warnings

T = TypeVar("T")

ENTS = "doc.ents"


@dataclass
class _Watch:
    """A component's pipeline, and which of its checks are done."""

    pipeline: "ref[Language]"
    done: set[str] = field(default_factory=set)


# Not an attribute of the component, which may be pickled and copied.
_WATCHED: "WeakKeyDictionary[Any, _Watch]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Need:
    """Entities that a component can't do without.

    labels (str): Their labels, for people.
    has (Callable[[str], bool]): Whether a label is one of them.
    """

    labels: str
    has: Callable[[str], bool]


def watch(component: T, nlp: Language) -> T:
    """Remember which pipeline a component was made for, so that the functions below can look at it.

    component (T): The component.
    nlp (Language): The pipeline.
    RETURNS (T): The component.
    """
    _WATCHED[component] = _Watch(ref(nlp))
    return component


def warn_if_idle(
    component: Any,
    doc: Doc,
    keys: Sequence[str],
    needs: Sequence[Need] = (),
    *,
    add: str,
    ents: bool = True,
    warning: str = Warnings.OM902,
) -> None:
    """Warn once if no component before this one gives it entities. It is judged by the first
    document: rules may be added, and weights loaded, after the component was made.

    component (Any): The component, with a name.
    doc (Doc): The document that it is given. If it came with entities, there is no warning.
    keys (Sequence[str]): The groups in doc.spans that the component reads.
    needs (Sequence[Need]): What labels it needs, one of each. None: any entities will do.
    add (str): What to add to the pipeline.
    ents (bool): Whether the component reads doc.ents too.
    warning (str): What to say if all entities have other labels.
    """
    watched = _WATCHED.get(component)
    if watched is None or "entities" in watched.done or not len(doc):
        return
    nlp = watched.pipeline()
    places = [*([ENTS] if ents else []), *keys]
    given = None if nlp is None else find_labels(nlp, component, set(places))
    missing = [need for need in needs if given is not None and not any(map(need.has, given))]
    if given is not None and not given:
        if (ents and doc.has_annotation("ENT_IOB")) or any(key in doc.spans for key in keys):
            return
        where = " or ".join(name if name == ENTS else f'doc.spans["{name}"]' for name in places)
        message = Warnings.OM901.format(name=component.name, places=where, add=add)
    elif given and missing:
        own = {span.label_ for span in _spans(doc, keys, ents)}
        if any(need.has(label) for need in missing for label in own):
            return
        wanted = " and ".join(need.labels for need in needs)
        message = warning.format(
            name=component.name, wanted=wanted, labels=", ".join(sorted(given)), add=add
        )
    else:
        message = ""
    watched.done.add("entities")
    if message:
        warnings.warn(message, stacklevel=3)


def find_labels(nlp: Language, component: Any, places: set[str]) -> set[str] | None:
    """Find the labels of the entities that the components before one can give it.

    nlp (Language): The pipeline.
    component (Any): The component.
    places (set[str]): Where it reads: "doc.ents" and keys in doc.spans.
    RETURNS (set[str] | None): The labels. None if unknown, as a component does not say
        what it sets, or as the one asked about is in another pipeline.
    """
    labels: set[str] = set()
    for name, pipe in nlp.pipeline:
        if pipe is component:
            return labels
        written = _find_places(pipe, nlp.get_pipe_meta(name))
        if written is None:
            return None
        if written & places:
            try:
                own = [*getattr(pipe, "labels", ())]
            except Exception:  # none, or whatever another's property raises
                return None
            if not own:
                return None
            labels.update(own)
    return None


def warn_without(component: Any, doc: Doc, attribute: str, warning: str) -> None:
    """Warn once if no component before this one sets an extension attribute of spans.

    component (Any): The component, with a name.
    doc (Doc): The document that it is given. If it came with such attributes, there is no warning.
    attribute (str): The attribute.
    warning (str): What to say.
    """
    before = find_before(component, attribute)
    if before is None:
        return
    for pipe, meta in before:
        if f"span._.{attribute}" in meta.assigns or may_set_more(pipe, meta):
            return
    if not any(isinstance(key, tuple) and attribute in key for key in doc.user_data):
        warnings.warn(warning.format(name=component.name), stacklevel=3)


def find_before(component: Any, check: str) -> list[tuple[Any, FactoryMeta]] | None:
    """Find the components before one, for a check that is made once.

    component (Any): The component.
    check (str): The check's name.
    RETURNS (list[tuple[Any, FactoryMeta]] | None): The components, each with what its factory
        declares. None if the check was made, or if the component is in no pipeline that is known.
    """
    watched = _WATCHED.get(component)
    if watched is None or check in watched.done:
        return None
    watched.done.add(check)
    nlp = watched.pipeline()
    before = list(takewhile(lambda item: item[1] is not component, nlp.pipeline if nlp else ()))
    if nlp is None or len(before) == len(nlp.pipeline):
        return None
    return [(pipe, nlp.get_pipe_meta(name)) for name, pipe in before]


def may_set_more(pipe: Any, meta: FactoryMeta) -> bool:
    """Tell whether a component may set what its factory does not declare.

    pipe (Any): The component, or the function that makes it.
    meta (FactoryMeta): What its factory declares.
    RETURNS (bool): Whether it is other people's, and declares nothing.
    """
    package, _, module = (getattr(pipe, "__module__", None) or "").partition(".")
    is_known = package in ("spacy", "spacy_openmed") and module != "language"
    return not is_known and not meta.assigns


def _find_places(pipe: Any, meta: FactoryMeta) -> set[str] | None:
    """Where a component writes entities. None if unknown."""
    if meta.factory == "openmed_ner":
        written = {"ents": [ENTS], "spans": [pipe.annotate_spans_key]}
        return {*written.get(pipe.annotate, [ENTS, pipe.annotate_spans_key])}
    if meta.factory == "openmed_phi":
        return {pipe.annotate_spans_key}
    if ENTS in meta.assigns:
        return {ENTS}
    if "doc.spans" in meta.assigns:
        key = getattr(pipe, "key", None)  # of SpanRuler and SpanCategorizer
        if key is None:
            return None
        return {key, ENTS} if getattr(pipe, "annotate_ents", False) else {key}
    return None if may_set_more(pipe, meta) else set()


def _spans(doc: Doc, keys: Sequence[str], ents: bool) -> Iterator[Span]:
    if ents:
        yield from doc.ents
    for key in keys:
        yield from doc.spans.get(key, ())
