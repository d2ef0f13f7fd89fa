"""More specific codes, by the words beside a name.

They need no table, only the vocabulary's descriptions. A code fits if everything that its
description adds to that of the name's own code is beside the name: "Atrial fibrillation,
permanent".
"""

import re
from collections.abc import Sequence, Set
from functools import cache

from spacy.tokens import Span, Token

from .icd10cm import Code, Vocabulary, to_key
from .revised import Revised
from .sides import find_side
from .status import DENIED
from .tables import load_patterns, load_rules
from .words import LEFT_OUT, find_stems, to_stem

MAX_WORDS = 8  # beside a name
SURE = 0.5  # score of a code
SUBCATEGORY = 5  # characters of a subcategory
DENYING = ("no", "not", "without", "w/o", "denies")
TURNING = ("since", "after", "status", "managed", "followed")  # what follows is no description
RULE = "ICD-10-CM: all words of the description"
HEADING = 60  # characters of a heading that names a side
CLAUSE_END = re.compile(r"[;.]\s")
# If a disease of the eye, the ear or the breast has a side, the organ may be left unsaid.
PAIRED, ORGANS = re.compile(r"H|C50|D05|D24|N6[0-4]"), find_stems("eye ear breast")
SIDES = find_stems("left right bilateral")


class Families:
    """The categories of a vocabulary, each with the words that distinguish its codes.

    vocabulary (Vocabulary): The codes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.groups = {name: group for group in load_rules()["groups"] for name in group}
        self.ignored = {to_stem(word) for word in load_rules()["ignored"]}
        self.categories: dict[str, list[Code]] = {}
        for code in vocabulary.codes.values():
            self.categories.setdefault(code.code[:3], []).append(code)
        self._families: dict[str, Family] = {}

    def find(self, category: str) -> "Family":
        """RETURNS (Family): The codes of a category and of the categories grouped with it."""
        if category not in self._families:
            group = self._find_group(category)
            codes = [code for name in group for code in self.categories.get(name, ())]
            heading = self.vocabulary.describe(category) if len(group) == 1 else ""
            self._families[category] = Family(codes, {*find_stems(heading)} | self.ignored)
        return self._families[category]

    def specialise(self, text: str, one: Revised, rest: Sequence[Revised]) -> None:
        """Choose the code that covers the words beside the name.

        text (str): The text of the document.
        one (Revised): The mention, which has a code.
        rest (Sequence[Revised]): The mentions after it. The words of the next one are left to it,
            if it is of another kind. Mentions that add nothing to the chosen code are dropped.
        """
        after = rest[0] if rest else None
        code = str(one.code)
        if code.startswith("Z"):
            return
        family = self.find(code[:3])
        is_other = (
            after is not None
            and after.code is not None
            and after.code[:3] not in self._find_group(code[:3])
            # "dementia with agitation"
            and not (_is_symptom(after) or find_stems(after.name.text) <= family.known)
        )
        beside = family.words_beside(one.name, after.name if after and is_other else None)
        beside |= family.words_of_heading(text, one.name)
        words = find_stems(DENIED.sub(" ", one.name.text)) | beside
        if words & SIDES and PAIRED.match(code):
            words |= ORGANS  # "glaucoma suspect on the right"
        # An alias was given its code for all of its words.
        is_alias = self.vocabulary.aliases.get(to_key(one.name.text)) == code
        best = family.choose(code, words, beside if is_alias else words)
        if best is None:
            return
        one.code, one.rule = best, RULE
        said = family.words[best] | family.common
        for other in rest[: 0 if is_other else None]:
            if other.name.sent != one.name.sent or not find_stems(other.name.text) <= said:
                break
            other.is_dropped = self._may_drop(code, other)

    def find_specific(self, code: str, name: Span) -> str:
        """RETURNS (str): The code, in the family of the given one, that covers the words in and
        beside a name; the given code if there is none."""
        family = self.find(code[:3])
        words = find_stems(DENIED.sub(" ", name.text)) | family.words_beside(name, None)
        return family.choose(code, words, words) or code

    def _may_drop(self, code: str, after: Revised) -> bool:
        """Whether a mention of the same kind, a symptom or a doubtful one goes with the other."""
        is_same = str(after.code)[:3] in self._find_group(code[:3])
        return is_same or _is_symptom(after) or after.score < SURE

    def _find_group(self, category: str) -> Sequence[str]:
        return self.groups.get(category, [category])


class Family:
    """The codes of one category, by the words that distinguish them.

    codes (Sequence[Code]): The codes.
    common (set[str]): Stems that distinguish none of them.
    """

    def __init__(self, codes: Sequence[Code], common: set[str]) -> None:
        self.common = common - SIDES
        self.words = {code.code: self._read(code.description) for code in codes if code.is_billable}
        # A name in the words of an inclusion term fits as well.
        terms = ((code.code, self._read(term)) for code in codes for term in code.terms)
        self.names = [*self.words.items()]
        self.names += [
            row for row in terms if row[0] in self.words and 0 < len(row[1]) <= MAX_WORDS
        ]
        self.known = {word for _, stems in self.names for word in stems}
        self.fillers = _load_fillers()
        self.assumed = find_stems(" ".join(load_rules()["assumed"]))

    def _read(self, name: str) -> frozenset[str]:
        return find_stems(LEFT_OUT.sub(" ", name)) - self.common

    def words_beside(self, name: Span, after: Span | None) -> set[str]:
        """Collect the words beside a name that the codes know: before it up to a comma, and after
        it also past a comma, if they make up half of the words there.

        name (Span): The name.
        after (Span | None): The next name, whose words are left out.
        RETURNS (set[str]): Their stems.
        """
        return self._words_before(name) | self._words_after(name, after)

    def words_of_heading(self, text: str, name: Span) -> Set[str]:
        """Collect the words of the heading before a name on its line, if it names a side and the
        codes know them: "Right breast, core biopsy: carcinoma".

        text (str): The text of the document.
        name (Span): The name.
        RETURNS (set[str]): Their stems.
        """
        line = text[text.rfind("\n", 0, name.start_char) + 1 : name.start_char]
        heading = CLAUSE_END.split(line)[-1].rpartition(":")[0]
        is_of_side = len(heading) < HEADING and find_side(heading)
        return find_stems(heading) & self.known if is_of_side else set()

    def _words_before(self, name: Span) -> set[str]:
        words: set[str] = set()
        start = max(name.sent.start, name.start - MAX_WORDS)
        for token in reversed(name.doc[start : name.start]):
            stems = find_stems(token.text)
            if token.is_punct and token.text not in "-/":
                break
            if stems & self.known:
                words |= stems
            elif not (token.lower_ in self.fillers or token.is_punct or stems & self.common):
                break
        return words

    def _words_after(self, name: Span, after: Span | None) -> set[str]:
        end = min(name.sent.end, name.end + 2 * MAX_WORDS)
        if after is not None and after.start >= name.end:
            end = min(end, after.start)
        words: set[str] = set()
        segment: set[str] = set()
        n_unknown = 0
        is_open = True
        for token in name.doc[name.end : end]:
            stems = find_stems(token.text)
            if token.text in ",()–:" or token.is_space or _is_dash(token):
                if n_unknown == 0:
                    words |= segment
                segment, n_unknown, is_open = set(), 0, True
                if "\n" in token.text:
                    break
            elif token.text in ";.":
                break
            elif not is_open or token.text in "-/":
                continue
            elif stems & self.known:
                segment |= stems
            elif token.lower_ in DENYING:
                is_open = False
            elif not (token.lower_ in self.fillers or token.is_punct or stems & self.common):
                is_open = False
                if not (segment and token.lower_ in TURNING):
                    n_unknown += 1
        if n_unknown == 0 or len(segment) > n_unknown:
            words |= segment
        return words

    def choose(self, code: str, words: Set[str], new: Set[str]) -> str | None:
        """Choose the code that shares the most words and adds none.

        code (str): The code of the name.
        words (Set[str]): The words of the name and beside it.
        new (Set[str]): Those of them that may tell the better code from that of the name.
        RETURNS (str | None): A better code; None if there is none.
        """
        own = self.words.get(code)
        if own is None:
            return None
        found = []
        for other, stems in self.names:
            more = stems - own
            is_said = more <= words and bool((more & new) - self.assumed)
            if other != code and is_said and own - self.assumed <= stems:
                found.append((len(more), -len(stems), -len(other), other))
        if not found:
            return None
        best = max(found)
        # On a tie, prefer a code of the same subcategory, then an unspecified one (0 or 9).
        same = sorted(row[3] for row in found if row[:3] == best[:3])
        same.sort(key=lambda c: (c[:SUBCATEGORY] != code[:SUBCATEGORY], not c.endswith(("0", "9"))))
        return same[0]


def _is_dash(token: Token) -> bool:
    """Whether a hyphen stands for a dash: "stage 3 - foam dressing"."""
    return token.text == "-" and bool(token.whitespace_ and token.i and token.nbor(-1).whitespace_)


def _is_symptom(one: Revised) -> bool:
    return one.code is None or load_patterns("symptoms")["codes"].match(one.code) is not None


@cache
def _load_fillers() -> frozenset[str]:
    return frozenset(load_rules()["fillers"])
