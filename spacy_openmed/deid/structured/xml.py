"""Fields of XML, such as FHIR and CDA."""

import re

from .fields import label_of
from .layout import STRUCTURE, Layout

_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[\w:.-]+)(?P<attrs>(?:\s+[\w:.-]+\s*=\s*\"[^\"]*\")*)\s*(?P<empty>/?)>"
)
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*\"([^\"]*)\"")


def read_xml(layout: Layout) -> None:
    """Find the fields of XML.

    layout (Layout): The text. Its fields and structure are added.
    """
    stack: list[str] = []
    last = None
    for tag in _TAG.finditer(layout.text):
        layout.mark(*tag.span(), STRUCTURE)
        name = tag["name"].rpartition(":")[2]
        if last is not None and tag["close"] and stack and stack[-1] == name:
            value = layout.text[last : tag.start()]
            if "<" not in value:
                layout.add(last, tag.start(), label_of(name, value, tuple(stack[:-1])))
        for attribute in _ATTRIBUTE.finditer(tag["attrs"]):
            offset = tag.start("attrs")
            start, end = offset + attribute.start(2), offset + attribute.end(2)
            key, parents = attribute[1], (*stack, name)
            if key == "value":
                key, parents = name, tuple(stack)
            label = label_of(key, attribute[2], parents)
            if label != "":
                layout.add(start, end, label)
        if tag["close"]:
            if stack and stack[-1] == name:
                stack.pop()
        elif not tag["empty"]:
            stack.append(name)
        last = None if tag["empty"] else tag.end()
