"""Rules that refine the codes found by name: specific codes, combined codes, status and history
codes, and mentions that are not the patient's diagnosis.

The rules are tables in `data/icd10cm_rules.json`, each with its source. More specific codes need no
table: a code fits if all that its description says beyond the name's own code stands beside the
name ("Atrial fibrillation, permanent"). Descriptions come from the vocabulary.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import zip_longest
from typing import Any

import srsly
from spacy.tokens import Doc, Span

from ..paths import DATA_PATH
from .icd10cm import Code, Vocabulary
from .ranking import load_words, normalise

PATH = DATA_PATH / "icd10cm_rules.json"
STATUS = "STATUS"  # label of what gives a code, but is no disease
BMI, WRITTEN, METASTASIS = "BMI", "ICD10CM", "METASTASIS"  # ids of patterns; of others, their code
JOINING = ("and", "or", "&", ",", "/")
MAX_WORDS = 8  # beside a name
STEM = 6  # letters of a word that are compared
LEFT_OUT = re.compile(
    r",? ?\bwithout\b.*?(?=,| with |$)|not having achieved remission"
    r"|\b(?:unspecified|other specified|other)\b(?: \w+$)?|\bstage unspecified\b|\([^()]*\)",
    re.IGNORECASE,
)
DENIED = re.compile(r"\b(?:no|without|w/o|not|denies|neg(?:ative)? for)\b[^,;]*", re.IGNORECASE)
ITEM = re.compile(r"[\s#*•·–\-+]*(?:\(?\d{1,2}[.):\]]|[a-zA-Z][.)])?[\s#*•·–\-+]*")
DOTTED = re.compile(r"[A-TV-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}")
BESIDE_CODE = re.compile(
    r"[\s(\[:,–-]*(?:icd(?:-?10)?(?:-cm)?\s*(?:code)?\s*[:#]?\s*)?", re.IGNORECASE
)
AFTER_CODE = re.compile(r"[\s)\]:–-]*")
CODE_HEADING = re.compile(
    r"(?:\bicd\S*|\bdx|\bdiagnos\w*|\bcodes?)\W*$|[A-TV-Z]\d[0-9A-Z]\.\w+[)\]]?[,;/\s]+$",
    re.IGNORECASE,
)
SIDE = re.compile(r"\b(?:left|right|Left|Right|LEFT|RIGHT|L|R|Lt|Rt)\b")
BETWEEN_SITES = re.compile(r",|/|&|\band\b|\bor\b")
HANDED = re.compile(r"\b(left|right)[- ]hand", re.IGNORECASE)
NOT_DOMINANT = re.compile(r"\bnon-?\s?dominant", re.IGNORECASE)
DOMINANT = re.compile(r"\bdominant", re.IGNORECASE)
AS_ITEM = re.compile(r"\s*(?:$|[,.;(\n]|on\b|with\b|since\b|w/|s/p\b|[-–]\s)")


@dataclass(eq=False)
class Revised:
    """The code of a mention while the rules are applied.

    name (Span): The words that were looked up.
    code (str | None): Its code; None if it has none.
    is_historical (bool): Whether it is mentioned as history.
    rule (str): The source of the rule that gave the code.
    also (list[tuple[str, str]]): Further codes, each with its rule.
    is_dropped (bool): Whether another mention's code says it too.
    is_symptom (bool): Whether it is a symptom that is not to be reported.
    """

    name: Span
    code: str | None
    is_historical: bool = False
    rule: str = ""
    also: list[tuple[str, str]] = field(default_factory=list)
    is_dropped: bool = False
    is_symptom: bool = False


class Rules:
    """Revises the codes of a document.

    vocabulary (Vocabulary): The codes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.groups = {name: group for group in load_rules()["groups"] for name in group}
        self.ignored = {_stem(word) for word in load_rules()["ignored"]}
        self.categories: dict[str, list[Code]] = {}
        for code in vocabulary.codes.values():
            self.categories.setdefault(code.code[:3], []).append(code)
        self._families: dict[str, Family] = {}

    def revise(self, doc: Doc, found: Sequence[Revised]) -> None:
        """Apply all rules to the codes of a document.

        doc (Doc): The document, with sentence starts.
        found (Sequence[Revised]): The mentions in the order of the text. They are changed.
        """
        text = doc.text  # spaCy joins it anew each time
        for one, after in zip_longest(found, found[1:]):
            is_exact = one.name.id_ in (WRITTEN, METASTASIS)
            if one.code is not None and not one.rule and not is_exact:
                self.specialise(one, after)
        self.drop_beside_codes(text, found)
        for sentence in _by_sentence(found):
            self.combine(text, sentence)
            self.add(sentence)
        for one in found:
            self.to_history(one)
            one.is_symptom = self.is_symptom(text, one)

    def specialise(self, one: Revised, after: Revised | None) -> None:
        """Choose the code that says all that stands beside the name.

        one (Revised): The mention.
        after (Revised | None): The next one, whose words are not this one's.
        """
        code = str(one.code)
        if code.startswith("Z"):
            return
        family = self.find_family(code)
        words = set(_stems(DENIED.sub(" ", one.name.text)))
        group = self.groups.get(code[:3], [code[:3]])
        is_other = after is not None and after.code is not None and after.code[:3] not in group
        words |= family.words_beside(one.name, after.name if after and is_other else None)
        best = family.choose(code, words)
        if best is None:
            return
        one.code, one.rule = best, "ICD-10-CM: all words of the description"
        if after is not None and not is_other and after.name.sent == one.name.sent:
            after.is_dropped = _stems(after.name.text) <= family.words[best] | family.common

    def find_family(self, code: str) -> "Family":
        """RETURNS (Family): The codes that a code may be made specific by."""
        key = code[:3]
        if key not in self._families:
            group = self.groups.get(key, [key])
            codes = [code for name in group for code in self.categories.get(name, ())]
            heading = self.describe(key) if len(group) == 1 else ""
            self._families[key] = Family(codes, {*_stems(heading)} | self.ignored)
        return self._families[key]

    def drop_beside_codes(self, text: str, found: Sequence[Revised]) -> None:
        """Let a code that is written beside a name stand for it."""
        for one, other in zip(found, found[1:], strict=False):
            between = text[one.name.end_char : other.name.start_char]
            if is_written(other.name) and BESIDE_CODE.fullmatch(between):
                name, code = one, other
            elif is_written(one.name) and AFTER_CODE.fullmatch(between):
                name, code = other, one
            else:
                continue
            if name.code and code.code and name.code[:3] == code.code[:3]:
                name.is_dropped = True

    def combine(self, text: str, found: Sequence[Revised]) -> None:
        """Apply the table of combinations to the mentions of a sentence."""
        joins = load_patterns("joins")
        for i, left in enumerate(found):
            chain = ""
            for right in found[i + 1 : i + 5]:
                between = text[right_end(found, right, left) : right.name.start_char]
                is_first = not chain
                if joins["with"].fullmatch(between):
                    chain = "with"
                elif joins["after"].fullmatch(between) and is_first:
                    chain = "after"
                elif joins["list"].fullmatch(between):
                    chain = chain or ("list" if self.is_whole(found) else "")
                else:
                    break
                if not chain:
                    break
                self._combine_pair(left, right, chain)

    def is_whole(self, found: Sequence[Revised]) -> bool:
        """RETURNS (bool): Whether a sentence has nothing but a list of two or three names."""
        text = found[0].name.sent.text
        for one in found:
            text = text.replace(one.name.text, " ")
        return len(found) in (2, 3) and not re.sub(r"\band\b|\W", "", text)

    def _combine_pair(self, left: Revised, right: Revised, chain: str) -> None:
        old = load_patterns("joins")["old"]
        if left.code is None or right.code is None or left.is_dropped or right.is_dropped:
            return
        for rule in load_combinations():
            for first, second in ((left, right), (right, left)):
                if not (
                    rule["first"].match(str(first.code)) and rule["second"].match(str(second.code))
                ):
                    continue
                if rule["join"] == "after":
                    is_old = chain == "after" and first is left
                    if not is_old and chain in ("with", "after"):
                        before = second.name.sent.text[
                            : second.name.end_char - second.name.sent.start_char
                        ]
                        is_old = (
                            second.is_historical
                            or str(second.code).startswith("Z")
                            or bool(old.search(before[-40:]))
                        )
                    if not is_old:
                        continue
                elif chain == "after" and first is left:
                    continue
                if rule["when"] and not rule["when"].search(second.name.text):
                    continue
                self._apply(rule, first, second)
                return

    def _apply(self, rule: Mapping[str, Any], first: Revised, second: Revised) -> None:
        code = rule["code"].replace("{first3}", str(first.code)[:3])
        if "{side}" in code:
            code = code.replace("{side}", _find_side(first, self.vocabulary))
        if code not in self.vocabulary.codes or code == first.code:
            return
        target, other = (second, first) if rule["drop"] == "second" else (first, second)
        # Diabetes with several complications has a code for each.
        if rule.get("extends") and not str(first.code).endswith(".9"):
            target.also.append((code, rule["rule"]))
        else:
            target.code, target.rule = code, rule["rule"]
        if rule["drop"] == "both":
            other.is_dropped = True

    def add(self, found: Sequence[Revised]) -> None:
        """Add the codes that go with another by the notes of the classification."""
        if not found:
            return
        sentence = found[0].name.sent
        for one in found:
            for rule in load_rules()["additional"]:
                has_one = one.code is not None and re.match(rule["code"], one.code)
                if not has_one or one.is_dropped:
                    continue
                codes = [o.code for o in found if o.code and not o.is_dropped]
                codes += [code for o in found for code, _ in o.also]
                if any(re.match(rule["unless"], code) for code in codes):
                    continue
                if not re.search(rule["pattern"], sentence.text):
                    continue
                code = rule["add"].get(find_side(sentence.text), rule["add"][""])
                one.also.append((code, rule["rule"]))

    def to_history(self, one: Revised) -> None:
        """Take the code of history for what is past and leaves no other code."""
        if not one.is_historical or one.code is None:
            return
        if is_kept(one.code, self.describe(one.code)):
            return
        table = load_rules()["history"]
        for n in range(len(one.code), 0, -1):
            code = table["codes"].get(one.code[:n])
            if code is not None:
                one.code, one.rule, one.also = code, table["source"], []
                return

    def describe(self, code: str) -> str:
        """RETURNS (str): The description of a code; none for one that is not in the vocabulary."""
        return self.vocabulary.codes[code].description if code in self.vocabulary.codes else ""

    def is_symptom(self, text: str, one: Revised) -> bool:
        """RETURNS (bool): Whether it is a symptom, and no entry of a list."""
        pattern = load_patterns("symptoms")["codes"]
        if one.code is None or not pattern.match(one.code):
            return False
        line = text[text.rfind("\n", 0, one.name.start_char) + 1 : one.name.start_char]
        return not ITEM.fullmatch(line)

    def find_status(self, span: Span) -> list[str]:
        """Find the codes of what a pattern of `status_patterns` found.

        span (Span): What was found.
        RETURNS (list[str]): Its codes.
        """
        text = span.text
        if span.id_ == BMI:
            number = re.search(r"\d+(?:\.\d+)?", text)
            value = float(number[0]) if number else 0
            if not 10 <= value < 100:
                return []
            return [next(code for end, code in load_rules()["bmi"]["codes"] if value < end)]
        if span.id_ == METASTASIS:
            is_sided = span.start > 0 and bool(SIDE.fullmatch(span.doc[span.start - 1].text))
            return find_metastases(span.doc[span.start - is_sided : span.end].text)
        if span.id_ != WRITTEN:
            return [span.id_]
        code = self.vocabulary.codes.get(text.upper())
        if code is None or not code.is_billable:
            return []
        before = span.doc.text[max(0, span.start_char - 40) : span.start_char]
        is_code = DOTTED.fullmatch(text) or CODE_HEADING.search(before) or before.endswith("(")
        return [code.code] if is_code else []


class Family:
    """The codes of one category, by the words that tell them apart.

    codes (Sequence[Code]): The codes.
    common (set[str]): Stems that tell none of them apart.
    """

    def __init__(self, codes: Sequence[Code], common: set[str]) -> None:
        self.common = common - _stems("left right bilateral")
        self.words = {
            code.code: _stems(LEFT_OUT.sub(" ", code.description)) - self.common
            for code in codes
            if code.is_billable
        }
        self.known = {word for words in self.words.values() for word in words}
        self.fillers = _load_fillers()

    def words_beside(self, name: Span, after: Span | None) -> set[str]:
        """Collect the words beside a name that the codes know: before it up to a comma, after it
        also past one, if they are half of what stands there."""
        doc, sentence = name.doc, name.sent
        words: set[str] = set()
        for token in reversed(doc[max(sentence.start, name.start - MAX_WORDS) : name.start]):
            stems = _stems(token.text)
            if token.is_punct and token.text not in "-/":
                break
            if stems & self.known:
                words |= stems
            elif not (token.lower_ in self.fillers or token.is_punct or stems & self.common):
                break
        end = min(sentence.end, name.end + 2 * MAX_WORDS)
        if after is not None and after.start >= name.end:
            end = min(end, after.start)
        segment: set[str] = set()
        n_unknown = 0
        is_open = True
        for token in doc[name.end : end]:
            stems = _stems(token.text)
            if token.text in ",()–:" or token.is_space:
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
            elif token.lower_ in ("no", "not", "without", "w/o", "denies"):
                is_open = False
            elif not (token.lower_ in self.fillers or token.is_punct or stems & self.common):
                if segment and token.lower_ in ("since", "after", "status", "managed", "followed"):
                    is_open = False
                    continue
                n_unknown += 1
                is_open = False
        if n_unknown == 0 or len(segment) > n_unknown:
            words |= segment
        return words

    def choose(self, code: str, words: set[str]) -> str | None:
        """Choose the code of which most words are there, and that says no more.

        code (str): The code of the name.
        words (set[str]): The words of the name and beside it.
        RETURNS (str | None): The other code; None if there is no better one.
        """
        own = self.words.get(code)
        if own is None:
            return None
        found = []
        for other, stems in self.words.items():
            more = stems - own
            if other != code and more and more <= words and own <= stems:
                found.append((len(more), -len(stems), -len(other), other))
        if not found:
            return None
        best = max(found)
        # Of several that fit as well, the one without a number of its own: unspecified.
        same = sorted(row[3] for row in found if row[:3] == best[:3])
        return next((c for c in same if c.endswith(("0", "9"))), same[0])


def says_past(description: str) -> bool:
    """RETURNS (bool): Whether a description says that something is past: remission, sequelae."""
    return bool(load_patterns("kept")["description"].search(description))


def is_kept(code: str, description: str) -> bool:
    """RETURNS (bool): Whether a code says itself that something is past, or a status."""
    return code.startswith("Z") or says_past(description)


def is_written(span: Span) -> bool:
    """RETURNS (bool): Whether a span is a code in the text."""
    return span.id_ == WRITTEN


def is_no_code(span: Span) -> bool:
    """Tell what is no diagnosis of the patient: a clinic, a vaccine, a negative test.

    span (Span): The mention.
    RETURNS (bool): Whether the words beside it say so.
    """
    text, start = span.sent.text, span.sent.start_char
    before = text[max(0, span.start_char - start - 80) : span.start_char - start]
    after = text[span.end_char - start : span.end_char - start + 60]
    kinds = ["status"] if span.label_ == STATUS else ["not"]
    if span.label_ != STATUS and span.text.lower() in _status_phrases():  # another found it
        kinds.append("status")
    if span.label_ == STATUS and span.id_ in (BMI, WRITTEN):
        return False
    surroundings = [_load_surroundings(f"{kind}_codes") for kind in kinds]
    return any(first.search(before) or last.match(after) for first, last in surroundings)


@cache
def _status_phrases() -> frozenset[str]:
    codes = load_rules()["status"]["codes"]
    return frozenset(phrase.lower() for phrases in codes.values() for phrase in phrases)


def stands_alone(span: Span) -> bool:
    """RETURNS (bool): Whether a mention is an entry of its own: at the start of a line or sentence,
    with nothing but a comma, an end, or "on" after it."""
    sentence, text = span.sent, span.doc.text
    line = text.rfind("\n", 0, span.start_char) + 1
    before = text[max(sentence.start_char, line) : span.start_char]
    return bool(ITEM.fullmatch(before) and AS_ITEM.match(text[span.end_char :]))


def find_metastases(text: str) -> list[str]:
    """RETURNS (list[str]): The codes of the sites of metastases."""
    sides_of = load_rules()["metastases"]["sides"]
    codes = []
    rest = text.lower()
    for pattern, code in _load_sites():
        match = pattern.search(rest)
        if match:
            rest = rest[: match.start()] + "|" * len(match[0]) + rest[match.end() :]
            side = find_side(BETWEEN_SITES.split(text[: match.start()])[-1]) or find_side(text)
            sides = sides_of.get(code)
            codes.append(sides[("right", "left").index(side)] if sides and side else code)
    if len(codes) > 1 and "C77.9" in codes:  # "axillary lymph nodes"
        near = any(code.startswith("C77") and code != "C77.9" for code in codes)
        codes = [code for code in codes if code != "C77.9" or not near]
    return codes


@cache
def _load_sites() -> list[tuple[re.Pattern[str], str]]:
    """The sites of metastases with their codes, those with the longest names first."""
    rows = load_rules()["metastases"]["codes"]
    ordered = sorted(rows, key=lambda row: -max(map(len, row[0].split("|"))))
    return [(re.compile(rf"\b(?:{pattern})"), code) for pattern, code in ordered]


def find_side(text: str) -> str:
    """RETURNS (str): "left" or "right", if the text has one of them."""
    found = {"left" if word[0].lower() == "l" else "right" for word in SIDE.findall(text)}
    return found.pop() if len(found) == 1 else ""


def _find_side(one: Revised, vocabulary: Vocabulary) -> str:
    """The last character of a sequela of stroke. Where hands are not named, the right side is the
    dominant one (guideline I.C.6.a)."""
    sentence = one.name.sent.text
    side = find_side(one.name.text) or find_side(sentence)
    if not side and one.code is not None:
        side = find_side(vocabulary.codes[one.code].description)
    handed = HANDED.search(sentence)
    is_dominant = (handed[1].lower() if handed else "right") == side
    if NOT_DOMINANT.search(sentence):
        is_dominant = False
    elif DOMINANT.search(sentence):
        is_dominant = True
    if not side:
        return "9"
    return {("right", True): "1", ("left", True): "2", ("right", False): "3", ("left", False): "4"}[
        side, is_dominant
    ]


def right_end(found: Sequence[Revised], right: Revised, left: Revised) -> int:
    """RETURNS (int): Where the text before a mention begins: the end of the one before it."""
    before = found[found.index(right) - 1]
    return max(before.name.end_char, left.name.end_char)


def status_patterns() -> list[dict[str, Any]]:
    """Make patterns for spaCy's `span_ruler` of what has a code, but is no disease: dialysis, a
    body mass index, metastases by their site, codes in the text.

    RETURNS (list[dict[str, Any]]): The patterns, for `phrase_matcher_attr = "LOWER"`.
    """
    rules = load_rules()
    patterns: list[dict[str, Any]] = [
        {"label": STATUS, "pattern": phrase, "id": code}
        for code, phrases in rules["status"]["codes"].items()
        for phrase in phrases
    ]
    table = rules["metastases"]
    words = {"LOWER": {"IN": [word for word in table["words"] if word != "met"]}}
    site = {"LOWER": {"IN": table["sites"]}}
    glue = {"LOWER": {"IN": table["glue"]}, "OP": "*"}
    to = {
        "LOWER": {"IN": ["to", "in", "of", "involving", "disease", "lesions", "lesion"]},
        "OP": "*",
    }
    lead = {"LOWER": {"IN": [word for word in table["glue"] if word not in JOINING]}, "OP": "*"}
    more = [glue, {**site, "OP": "*"}]
    nouns = {"LOWER": {"IN": ["mets", "metastases", "metastasis"]}}
    patterns += [
        {"label": STATUS, "id": METASTASIS, "pattern": pattern}
        for pattern in (
            [words, to, lead, site, *more, *more, *more],
            [site, *more, *more, *more, nouns],
        )
    ]
    between = {
        "LOWER": {"IN": ["of", "is", "was", ":", "=", "~", ">", "-", "(", "bmi", ")"]},
        "OP": "*",
    }
    number = {"TEXT": {"REGEX": r"^\d{2}(\.\d+)?$"}}
    patterns += [
        {"label": STATUS, "id": BMI, "pattern": [*name, between, number]}
        for name in ([{"LOWER": "bmi"}], [{"LOWER": "mass"}, {"LOWER": "index"}])
    ]
    written = {"TEXT": {"REGEX": r"^[A-TV-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?$"}}
    return [*patterns, {"label": STATUS, "id": WRITTEN, "pattern": [written]}]


def find_meat(text: str) -> dict[str, list[str]]:
    """RETURNS (dict[str, list[str]]): The words of a sentence that hint at what was done about a
    diagnosis: monitored, evaluated, assessed, treated."""
    return {
        kind: list(dict.fromkeys(match[0].lower() for match in pattern.finditer(text)))
        for kind, pattern in load_patterns("meat").items()
    }


def find_superseded(codes: Iterable[str]) -> dict[str, tuple[str, str]]:
    """RETURNS (dict[str, tuple[str, str]]): The codes that a more specific code replaces, each
    with that code and the rule."""
    codes = sorted(codes)
    found: dict[str, tuple[str, str]] = {}
    for rule in load_rules()["superseded"]:
        for code in codes:
            match = re.fullmatch(rule["code"], code)
            if match is None:
                continue
            by = re.compile(match.expand(rule["by"]) if r"\1" in rule["by"] else rule["by"])
            better = next((other for other in codes if other != code and by.match(other)), None)
            if better is not None:
                found.setdefault(code, (better, rule["rule"]))
    for code, (better, source) in found.items():
        seen = {code}
        while better in found and better not in seen:  # the one that is left in the end
            seen.add(better)
            better = found[better][0]
        found[code] = better, source
    return found


@cache
def load_rules() -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The tables of `data/icd10cm_rules.json`."""
    return srsly.read_json(PATH)


@cache
def load_combinations() -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): The table of combinations, with compiled patterns."""
    return [
        {
            **rule,
            "first": re.compile(f"(?:{rule['first']})"),
            "second": re.compile(f"(?:{rule['second']})"),
            "when": re.compile(rule["when"], re.IGNORECASE) if "when" in rule else None,
        }
        for rule in load_rules()["combinations"]
    ]


@cache
def load_patterns(name: str) -> dict[str, re.Pattern[str]]:
    """RETURNS (dict[str, re.Pattern]): The patterns of a table, by their name."""
    table = load_rules()[name]
    return {key: re.compile(value) for key, value in table.items() if key != "source"}


@cache
def _load_fillers() -> frozenset[str]:
    return frozenset(load_rules()["fillers"])


@cache
def _load_surroundings(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    table = load_rules()[name]
    # Names of organisations are told by their capitals; the case of other words is free.
    before, after = (
        "|".join(f"(?:{row})" if "[A-Z]" in row else f"(?i:{row})" for row in table[side])
        for side in ("before", "after")
    )
    return re.compile(before), re.compile(after)


def _stem(word: str) -> str:
    return word if word.isdigit() else word[:STEM]


@lru_cache(maxsize=50_000)
def _stems(text: str) -> frozenset[str]:
    words = load_rules()["words"]
    lower = " ".join(words.get(word, word) for word in re.findall(r"\w+", text.lower()))
    if not lower.strip():
        return frozenset()
    normal = normalise(lower)
    stop = load_words()[1]
    return frozenset(_stem(word) for word in normal.split() if word not in stop)


def _by_sentence(found: Sequence[Revised]) -> Iterator[list[Revised]]:
    rows: dict[int, list[Revised]] = {}
    for one in found:
        rows.setdefault(one.name.sent.start, []).append(one)
    yield from rows.values()
