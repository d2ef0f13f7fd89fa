"""Fields of FHIR (JSON and XML), HL7 v2 and CSV in a text: the structure, and what a field holds.

Offsets are those of the text, so that replacing a value leaves the structure intact.
"""

from .csv import read_csv
from .hl7 import read_hl7
from .json import read_json
from .layout import Layout
from .xml import read_xml


def read_layout(text: str) -> Layout | None:
    """Find the fields of a text.

    text (str): The text.
    RETURNS (Layout | None): Its structure; None if it is prose.
    """
    layout = Layout(text)
    if '":' in text or '" :' in text:
        read_json(layout)
    if "</" in text or "/>" in text:
        read_xml(layout)
    if "|" in text:
        read_hl7(layout)
    if not layout.kinds.any():
        read_csv(layout)
    return layout if layout.kinds.any() else None
