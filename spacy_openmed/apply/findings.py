"""What the components of a pipeline find, said without running or even loading it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.tokens import Span
from spacy.util import registry

from ..errors import Errors
from ..extensions import SPAN_ATTRIBUTES
from ..idle import may_set_more
from ..suggestions import nearest

KB_ID = "kb_id"
CONTEXT = tuple(SPAN_ATTRIBUTES["openmed_context"])
# What is found of a whole document, and the factory of the component that finds it.
COLUMNS = {
    "relations": "openmed_relation",
    "identifiers": "openmed_phi",
    "hcc": "openmed_hcc",
    "hcc_unlinked": "openmed_hcc",
}


@dataclass(frozen=True)
class Findings:
    """What the components of a pipeline say that they set.

    attributes (frozenset[str]): Extension attributes of spans.
    columns (tuple[str, ...]): Names of `COLUMNS`.
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
                Errors.OM309.format(
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
        tuple(name for name, factory in COLUMNS.items() if factory in factories),
        is_open or "token.ent_kb_id" in assigned,
        is_open,
    )
