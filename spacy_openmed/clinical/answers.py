"""Answers beside an entity: check boxes, plus and minus signs, and results in forms and tables.

"☒ Asthma", "(-) fever", "Strep: neg", "Asthma? No.". The table `data/answers.json` lists the boxes,
signs and answers.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal

import srsly

from ..paths import DATA_PATH

PATH = DATA_PATH / "answers.json"
NEAR = 80  # characters that are looked at on each side
Answer = Literal["absent", "present", "possible"]
ANSWERS: tuple[Answer, ...] = ("absent", "present", "possible")
# An item of a list of signs: "+cough, - fever".
SIGNED = re.compile(r"(?:^|[,;:]\s*)[+-] ?(?=[a-z])|(?<=\s)[+-](?=[a-z])", re.IGNORECASE)


class AnswerReader:
    """Reads the answers that a table lists.

    table (dict[str, list[str]]): Words, boxes and signs; see the module.
    """

    def __init__(self, table: dict[str, list[str]]) -> None:
        self.answers = {
            word: answer for answer in ANSWERS for word in table[answer] if word not in ("", " ")
        }
        self.signs = {sign: answer for answer in ANSWERS for sign in table[f"{answer}_signs"]}
        ticked, unticked = (_either(table[name]) for name in ("ticked_boxes", "open_boxes"))
        box = f"(?:{ticked}|{unticked})"
        words = _either(word for word in self.answers if word[0].isalpha())
        results = _either(table["results"])
        others = _either(word for word in self.answers if word not in table["results"])
        gap = _either(table["between_box_and_entity"])
        follow = _either(table["after_result"])
        next_field = r"(?-i:[A-Z])[\w ,/-]{0,30}[:?]"
        flags = re.IGNORECASE
        self.ticked = re.compile(ticked, flags)
        self.box = re.compile(box, flags)
        self.box_before = re.compile(
            rf"({box})[ \t]{{0,3}}(?:{gap}[ \t]+)*(?:[\w'-]+(?: [\w'-]+)? ?[,/] ?){{0,3}}$", flags
        )
        self.box_after = re.compile(rf"[ \t]*[:|]?[ \t]*({box})", flags)
        self.pair = re.compile(rf"({box})[ \t]*({words})\b|\b({words})[ \t]*({box})", flags)
        self.pairs = re.compile(
            rf"[ \t]*[:?|]?[ \t]*((?:{box}[ \t]*{words}\b[ \t/,]*){{1,3}}"
            rf"|(?:{words}[ \t]*{box}[ \t/,]*){{1,3}})",
            flags,
        )
        self.sign_before = re.compile(rf"({_either(self.signs)})[ \t]?$", flags)
        # The name of the test may come in between, and the answer ends a field.
        self.answer_after = re.compile(
            r"(?:[ ]+[\w/%'-]+(?:\.\w+)*){0,4}?"
            r"(?:[ ]?[:?=|]+[ \t]*|[ ]*\t[ \t]*|[ ]{2,}|[ ]*-{1,2}[ ]+|[ ]*\([ ]*)"
            rf"(?:({results})(?![\w-])(?!\s+(?!{follow}\b)(?-i:[a-z]))"
            rf"|({others})(?=[ \t]*(?:[.,;|)\]\n\r\t/(]|$|[ ]{{2}}|-\s|{next_field})))",
            flags,
        )

    def read(self, text: str, start: int, end: int) -> Answer | None:
        """Read the answer that stands beside an entity.

        text (str): The text, with plain apostrophes, dashes and spaces.
        start, end (int): The characters of the entity.
        RETURNS (Answer | None): What it says of the entity; None if there is none.
        """
        if mark := self.read_mark(text, start, end):
            return mark
        match = self.answer_after.match(text[end : end + NEAR])
        return self.answers[(match[1] or match[2]).lower()] if match else None

    def read_mark(self, text: str, start: int, end: int) -> Answer | None:
        """Read the box or sign beside an entity. Results in words do not count.

        text (str): The text, with plain apostrophes, dashes and spaces.
        start, end (int): The characters of the entity.
        RETURNS (Answer | None): What it says of the entity; None if there is none.
        """
        while start < end and (not text[start].isalnum() or text[start] in "Øø"):  # "-fever"
            start += 1
        before, after = text[max(0, start - NEAR) : start], text[end : end + NEAR]
        before = before[before.rfind("\n") + 1 :]
        if match := self.pairs.match(after):
            return self._choose(match[1])
        sign = self.sign_before.search(before)
        if sign and (len(sign[1]) > 1 or sign[1] not in "+-" or _is_signed(text, start, sign[1])):
            return self.signs[sign[1].lower()]
        if self.box.search(before) or self.box.search(after):
            return self._read_boxes(text, start, before, after)
        return None

    def _choose(self, pairs: str) -> Answer | None:
        """The answer whose box is ticked. A single "yes" that is not ticked means "no"."""
        found = [
            (self.ticked.fullmatch(m[1] or m[4]) is not None, self.answers[(m[2] or m[3]).lower()])
            for m in self.pair.finditer(pairs)
        ]
        for is_ticked, answer in found:
            if is_ticked:
                return answer
        return "absent" if [answer for _, answer in found] == ["present"] else None

    def _read_boxes(self, text: str, start: int, before: str, after: str) -> Answer | None:
        line = _line_of(text, start)[1].rstrip()
        boxes = list(self.box.finditer(line))
        if not boxes:
            return None
        comes_after = line[: boxes[0].start()].strip(" \t-*|") and boxes[-1].end() == len(line)
        match = self.box_after.match(after) if comes_after else self.box_before.search(before)
        if match is None:
            return None
        return "present" if self.ticked.fullmatch(match[1]) else "absent"


@cache
def load_answers() -> AnswerReader:
    """RETURNS (AnswerReader): A reader of our own table."""
    return AnswerReader(srsly.read_json(PATH))  # type: ignore[arg-type]


def _is_signed(text: str, start: int, sign: str) -> bool:
    """Whether a plus or minus before an entity is a sign rather than an "and", hyphen or bullet: it
    begins an item, and a minus also needs a plus on its line."""
    opens, line = _line_of(text, start)
    signs = list(SIGNED.finditer(line))
    if not any(match.end() == start - opens for match in signs):
        return False
    return sign == "+" or any("+" in match[0] for match in signs)


def _line_of(text: str, at: int) -> tuple[int, str]:
    """Where the line of a character begins, and the line."""
    opens, closes = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    return opens, text[opens : closes if closes >= 0 else len(text)]


def _either(words: Iterable[str]) -> str:
    parts: Sequence[str] = sorted(map(re.escape, words), key=len, reverse=True)
    return f"(?:{'|'.join(parts)})"
