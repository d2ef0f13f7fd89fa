"""Words of medicine, which a model takes for names and places: what of its finds may stay."""

import re
from collections.abc import Collection
from functools import cache
from typing import NamedTuple

from ..paths import DATA_PATH

PATH = DATA_PATH / "clinical_words.txt"
_WORD = re.compile(r"[^\W\d_]+")
TITLE = re.compile(
    r"(?:\b(?:dr|mrs?|ms|miss|prof|doctor|rev|sgt|capt|sir|dame|(?-i:Father|Sister|Nurse))\b\.?"
    r"|\b(?-i:RN|NP|PA|CNA|LPN|PT|OT)|\b(?:tech|atty|attorney|chaplain))[ \t]+\Z",
    re.IGNORECASE,
)
# What stands before the name of a person, and behind it.
_BEFORE = re.compile(
    r"\b(?:by|per|with|w/|d/w|from|to|saw|told|called|paged|informed|notified|mother|mom|mum|father"
    r"|dad|wife|husband|partner|sons?|daughters?|brothers?|sisters?|aunt|uncle|cousin|niece|nephew|friend"
    r"|neighbou?r|dtr|sib|patient|pt|name|named)[ \t,:]+\Z",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"(?:['’]s)?,?[ \t]+(?:was|is|has|had|denie[sd]|report(?:s|ed)|state[sd]|sa(?:ys|id)|called"
    r"|came|agree[sd]|ask(?:s|ed)|will|who|would|saw|feels?|felt|went|lives|M\.?D|D\.?O|R\.?N|N\.?P|PA-C)\b"
)
_PLACE_BEFORE = re.compile(
    r"(?:\b(?:in|at|from|near|of|to|outside|lives|visiting)|@)\s+\Z", re.IGNORECASE
)
# What follows a place that names a scale, a test or a device.
_BEHIND_TERM = re.compile(
    r"[ \t]+(?:[IVX]+\b|[A-Z]\d|neg|pos|virus|brace|collar|score|scale|class|grade|criteria|test"
    r"|protocol|tube|agent|fever|disease|stool|rule|coma|cognitive|guidelines)"
)
_ORGANISATION = re.compile(
    r"\b(?:hospital|infirmary|clinic|cent(?:er|re)|associates|group|practice|school|academy|college"
    r"|university|church|home|house|lodge|manor|court|foundation|trust|institute|pharmacy|works"
    r"|company|inc|llc|ltd|county|city|street|road|avenue|primary|nursery|daycare|surgery)\b",
    re.IGNORECASE,
)


class ClinicalWords(NamedTuple):
    """The allow-list, in lower case.

    plain (frozenset[str]): Words that are nobody's name.
    eponyms (frozenset[str]): Words that are mostly of a disease, a sign, a drug or a device.
    names (frozenset[str]): Words that are somebody's name as often ("hope", "summer").
    places (frozenset[str]): Those of the eponyms that are places.
    phrases (re.Pattern[str]): Phrases.
    """

    plain: frozenset[str]
    eponyms: frozenset[str]
    names: frozenset[str]
    places: frozenset[str]
    phrases: re.Pattern[str]


@cache
def read_words() -> ClinicalWords:
    """RETURNS (ClinicalWords): The allow-list, read when it is first needed."""
    lines: dict[str, list[str]] = {"": [], "+": [], "?": [], "@": [], "=": [], "#": []}
    for line in PATH.read_text(encoding="utf8").splitlines():
        mark = line[0] if line[0] in lines else ""
        lines[mark].append(line[len(mark) :])
    phrases = "|".join(re.escape(phrase) for phrase in reversed(lines["="]))
    return ClinicalWords(
        frozenset(lines[""]),
        frozenset(lines["+"] + lines["@"]),
        frozenset(lines["?"]),
        frozenset(lines["@"]),
        re.compile(rf"\b(?:{phrases})\b", re.IGNORECASE),
    )


def all_plain(text: str) -> bool:
    """RETURNS (bool): Whether a text has words, and none of them is of a name."""
    plain = read_words().plain
    words = [word.lower() for word in _WORD.findall(text) if len(word) > 1]
    return bool(words) and all(word in plain for word in words)


def _is_known(word: str) -> bool:
    return any(word in words for words in read_words()[:3])


def writes_capitals(text: str) -> bool:
    """RETURNS (bool): Whether a text has capitals, so that its names have one."""
    words = _WORD.findall(text)
    return sum(word[0].isupper() for word in words) * 12 > len(words)


def trim_name(text: str, start: int, end: int) -> tuple[int, int]:
    """Cut words off a name that are none: what another sentence, case or line has.

    text (str): The text.
    start, end (int): What a model takes for a name.
    RETURNS (tuple[int, int]): What is left of it.
    """
    plain = read_words().plain
    words = [*_WORD.finditer(text, start, end)]

    def goes(i: int, neighbour: int) -> bool:
        word, other = words[i], words[neighbour]
        gap = text[min(word.end(), other.end()) : max(word.start(), other.start())]
        differs = word[0].islower() or (
            len(word[0]) > 1 and word[0].isupper() and not other[0].isupper()
        )
        return word[0].lower() in plain and (differs or bool(re.search(r"[^ \t'’-]", gap)))

    while len(words) > 1 and goes(-1, -2):
        words.pop()
    while len(words) > 1 and goes(0, 1):
        words.pop(0)
    if not words:
        return start, end
    is_whole = not _WORD.search(text, words[-1].end(), end)
    new_start = start if not _WORD.search(text, start, words[0].start()) else words[0].start()
    return new_start, end if is_whole else words[-1].end()


def _is_in_phrase(text: str, start: int, end: int) -> bool:
    """Whether characters are part of a phrase of the allow-list."""
    shift = max(start - 30, 0)
    near = text[shift : end + 40]
    return any(
        shift + match.start() <= start and end <= shift + match.end()
        for match in read_words().phrases.finditer(near)
    )


def may_be_name(text: str, start: int, end: int, names: Collection[str] = ()) -> bool:
    """Say whether what a model takes for a person may be one.

    text (str): The text.
    start, end (int): The characters.
    names (Collection[str]): Words that are surely of a name in this text, in lower case.
    RETURNS (bool): False if it is a term of medicine or a word of everyday language.
    """
    if _is_in_phrase(text, start, end):
        return False
    plain, eponyms, *_ = read_words()
    found = text[start:end]
    words = [word for word in _WORD.findall(found) if len(word) > 1]
    lower = [word.lower() for word in words]
    if len(words) == 1 and re.fullmatch(r"q[A-Z][a-z]+", words[0]):  # "qSun"
        return False
    if not words:  # "S." of "S. creat"
        return found.strip(" .").isalpha() and not re.match(r"[. \t]*[a-z]", text[end : end + 4])
    before = text[max(start - 30, 0) : start].rpartition("\n")[2]
    if TITLE.search(before):
        return True
    if all(word in plain for word in lower):
        return False
    if len(words) == 1 and lower[0] not in names and not _BEHIND.match(text, end):
        if found.islower() and writes_capitals(text) and not _BEFORE.search(before):
            return False
        line = text[text.rfind("\n", 0, start) + 1 : end + 40].partition("\n")[0]
        if found.isupper() and len(words[0]) < 5 and not line.isupper():
            return False
    if not all(word in plain or word in eponyms for word in lower):
        return True
    if any(word in names for word in lower):
        return True
    is_one = len(words) == 1 or not re.search(r"\s", found.strip())
    if not is_one and not any(word in plain for word in lower):
        return True  # "Frank Miller"
    return bool(_BEFORE.search(before) or _BEHIND.match(text, end))


def may_be_place(text: str, start: int, end: int) -> bool:
    """Say whether what a model takes for a place or an organisation may be one.

    text (str): The text.
    start, end (int): The characters.
    RETURNS (bool): False if it is a term of medicine or a word of everyday language.
    """
    if _is_in_phrase(text, start, end):
        return False
    plain, eponyms, *_ = read_words()
    found = text[start:end]
    lower = [word.lower() for word in _WORD.findall(found) if len(word) > 1]
    after = text[end : end + 20]
    if not lower:  # a dose, if it is no number of a house
        is_number = re.fullmatch(r"\W*\d{1,4}(?:[./-]\d{1,4}){0,2}\W*", found)
        return not is_number or bool(re.match(r"\s+[^\W_a-z]", after))
    if re.search(r"\d{3}|\A\W*\d+\W+[^\W\d]", found) or re.match(r"\W*\d{5}\b", after):
        return True  # an address, or a state before a ZIP code
    if not all(word in plain or word in eponyms for word in lower):
        return True
    kind = _ORGANISATION.search(found)
    is_plain = all(word in plain for word in lower)
    if len(lower) > 1 and kind and not (is_plain and kind[0].islower()):  # "HF clinic"
        return True
    if is_plain:
        return False
    if len(lower) > 1 and not any(word in plain for word in lower):
        return True
    if len(lower) == 1 and lower[0] in read_words().places:
        return not _BEHIND_TERM.match(after) and not re.search(r"\d", found)
    return bool(_PLACE_BEFORE.search(text[max(start - 20, 0) : start]))


def may_be_number(text: str, start: int, end: int) -> bool:
    """Say whether what a model takes for a number of somebody may be one.

    text (str): The text.
    start, end (int): The characters.
    RETURNS (bool): False for a result ("FCP 1860"), a strength ("PEG 3350") or a time of day.
    """
    found = text[start:end]
    numbers = re.findall(r"\d+", found)
    before = text[max(start - 12, 0) : start]
    words = [word.lower() for word in _WORD.findall(found) if len(word) > 1]
    if words and max(map(len, numbers), default=0) <= 4 and all(map(_is_known, words)):
        return False
    if is_taper(found) or re.search(
        r"(?i)\b(?:rm|room|bed|ward|bay|unit|floor|level)[ \t]+\Z", before
    ):
        return False
    if not numbers:
        return True
    if re.fullmatch(r"\W*\d{1,3}(?:\.\d+)?\W*", found):
        return False
    if re.fullmatch(r"[\d.]{1,4}(?:[ \t]{2,}[\d.]{1,4})+", found.strip()):  # of a table
        return False
    before = before[-3:]
    is_time = re.fullmatch(r"\W*(?:[01]\d|2[0-3])[0-5]\d\W*", found)
    return not (is_time and (not before.strip(" \t") or before.endswith("\n") or "@" in before))


def is_taper(found: str) -> bool:
    """RETURNS (bool): Whether hyphens join doses that fall or rise: 40-30-20-10."""
    if not re.fullmatch(r"\d{1,3}(?:-\d{1,3}){2,}", found):
        return False
    steps = [int(number) for number in found.split("-")]
    return steps in (sorted(set(steps)), sorted(set(steps), reverse=True))
