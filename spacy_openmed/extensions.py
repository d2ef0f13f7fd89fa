"""The extension attributes that our components set.

Their values travel with a document, in `doc.user_data`. That they are registered does not: whoever
reads documents that another process has annotated has to register them first.
"""

from typing import Any

from spacy.tokens import Doc, Span

RELATIONS = "relations"
# By the factory whose component sets them: attributes of documents and of spans, with defaults.
DOC_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "openmed_relation": {RELATIONS: None},
    "openmed_hcc": {"hcc": None, "hcc_unlinked": None},
}
SPAN_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "openmed_context": {
        "is_negated": False,
        "is_historical": False,
        "is_hypothetical": False,
        "is_family": False,
        "context": None,
        "context_score": None,
    },
    "openmed_hcc": {"icd10cm": None},
    "openmed_linker": {"kb_ents": []},
}
# The types of attributes that are not true or false.
ATTRIBUTE_TYPES = {"context": str, "context_score": float}


def register_extensions(*factories: str) -> None:
    """Register extension attributes, unless they are.

    *factories (str): The factories whose attributes to register. None: all.
    """
    cls: Any
    for cls, by_factory in ((Doc, DOC_ATTRIBUTES), (Span, SPAN_ATTRIBUTES)):
        for factory in factories or by_factory:
            for name, default in by_factory.get(factory, {}).items():
                if not cls.has_extension(name):
                    cls.set_extension(name, default=default)
