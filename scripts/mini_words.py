"""Names of drugs and problems, and short frames for them, which running text has too few of.

Notes are full of brand names, abbreviations, headings and single words. `mini_words.json` lists
names as clinicians write them (our own list, CC0 like the notes corpus), and frames with the markup
of the notes corpus. A slot of a frame stands for a name: `{P}` for a problem, `{D}` for a drug,
`{PR}` for a procedure, `{RO}` for a route, and `{DV}` for a device.
"""

import json
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

from notes_corpus import Note, Text, annotate

PATH = Path(__file__).with_suffix(".json")
SLOT = re.compile(r"\{(P|D|PR|RO|DV)\}")
# How often a name is taken from each list.
SHARES = {
    "P": {"long": 0.25, "short": 0.4, "plain": 0.35},
    "D": {"generic": 0.4, "brand": 0.45, "class": 0.15},
    "PR": {"all": 1.0},
    "RO": {"all": 1.0},
    "DV": {"all": 1.0},
}
LINES = (1, 1, 1, 2, 3, 5, 8)  # of a text; one is drawn


@cache
def read_words() -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The file's lists."""
    return json.loads(PATH.read_text(encoding="utf8"))


@cache
def read_names() -> dict[str, dict[str, list[str]]]:
    """RETURNS (dict[str, dict[str, list[str]]]): The names of each slot by their kind."""
    words = read_words()
    problems, drugs = words["problems"], words["drugs"]
    return {
        "P": {
            "long": [row[0] for row in problems],
            "short": [name for row in problems for name in row[1:]],
            "plain": words["plain_problems"],
        },
        "D": {
            "generic": [row[0] for row in drugs],
            "brand": [name for row in drugs for name in row[1:]],
            "class": words["drug_classes"],
        },
        "PR": {"all": words["procedures"]},
        "RO": {"all": words["routes"]},
        "DV": {"all": words["devices"]},
    }


def draw_name(slot: str, rng: random.Random) -> str:
    """RETURNS (str): A name for a slot, such as a problem ("P") or a drug ("D")."""
    [kind] = rng.choices([*SHARES[slot]], [*SHARES[slot].values()])
    return rng.choice(read_names()[slot][kind])


def make_fragment(rng: random.Random) -> Text:
    """RETURNS (Text): Some filled frames, one a line, with their annotation."""
    frames = rng.choices(read_words()["frames"], k=rng.choice(LINES))
    return parse("\n".join(SLOT.sub(lambda m: draw_name(m[1], rng), frame) for frame in frames))


def make_names() -> list[Text]:
    """RETURNS (list[Text]): Every name as a text of its own."""
    return [
        parse(f"[[{name}|{slot}]]")
        for slot, kinds in read_names().items()
        for names in kinds.values()
        for name in names
    ]


def parse(markup: str) -> Text:
    """RETURNS (Text): A text in the markup of the notes corpus, without its markup."""
    return annotate(Note("", "", "", "", "", "US", "X", None, markup, Path(), 0), None)
