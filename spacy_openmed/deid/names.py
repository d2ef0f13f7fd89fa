"""Names: where they end, what belongs to them, and where else they occur."""

import re
from collections.abc import Container, Iterable

from spacy.tokens import Doc, Token

from .candidates import (
    COLUMN,
    CREDENTIAL,
    GUESS,
    LINE,
    REPEATED,
    WORD,
    Candidate,
    expand_to_tokens,
    line_of,
)
from .clinical_words import TITLE, all_plain, read_words, stands_as_term
from .identifiers import identifier_of

# In a line of capitals, nothing marks off a name from the words after it or before a credential, so
# at most two words are taken. Initials and name particles are not counted.
CAPITALS = 2
SMALL = {"VAN", "VON", "DE", "DER", "DEN", "DEL", "DI", "DA", "LA", "LE", "BIN", "AL"}
_LETTERS = re.compile(r"[^\W\d_]*")
_END = re.compile(r"[ \t]*(?:[\r\n]|\Z)|\t|[ ]{2}")  # of a field
# Field names that follow, in a form, the name that fills the previous field.
_FIELD = re.compile(
    r"(?:\s{2,}|[\t\r\n])(?:MRN|MR|DOB|D\.O\.B|SSN|Age|Sex|Gender|Date|Phone|Tel|Fax|E-?mail|Address"
    r"|Account|Acct|Admitted|Admission|Discharged?|Unit|Room|Ward|Insurance|PCP|ID)\W*\Z",
    re.IGNORECASE,
)
# A suffix that no place has: models take "Peter Hall III" for a place.
WITH_SUFFIX = re.compile(r"(?:[A-Z][\w.'’-]* ){2,3}(?:Jr\.?|Sr\.?|II|III|IV)")
# What belongs to the name beside it: a first name or an initial after the surname, a nickname in
# quotes, initials before it, and the rest of a hyphenated name.
_FIRST_AFTER = re.compile(
    r",[ \t]?(?!(?:M\.?D|D\.?O|R\.?N|N\.?P|P\.?A|R\.?M|O\.?T|P\.?T|B\.?S|M\.?S)\b)"
    r"([^\W\d_](?:\.?[ \t]?[^\W\d_])?)\b\.?(?![\w'’])"
)
_NICKNAME = re.compile(
    r"(?:[^\w\n\"“‘']|\b(?:aka|a\.k\.a|called|known as|goes by)\b){0,4}[\"“‘'(]"
    r"([^\W\d_][\w'’-]*)[\"”’')]",
    re.IGNORECASE,
)
# The second of two: "Okafor / Lindgren (fellow)", "Thompson (renal) and Jones".
_NEXT_NAME = re.compile(
    r"(?:['’]s)?(?:[ \t]*\([^()\n]{1,20}\))?[ \t]*(?:/|&|\band\b)[ \t]*"
    r"((?:[A-Z]\.[ \t]?)?[A-Z][^\W\d_A-Z]+(?:[-'’][A-Z]?[^\W\d_A-Z]+)*)(?![\w'’-])"
)
_INITIAL_BEFORE = re.compile(r"(?<![\w.])(?:[^\W\d_]\.[ \t]?(?:[^\W\d_]{1,2}\.[ \t]?){0,2})\Z")
_JOINED_BEFORE, _JOINED_BEHIND = re.compile(r"(?:\w+[-–])+\Z"), re.compile(r"(?:[-–][^\W\d]\w*)+")
# What may come beside a name in a line of capitals without belonging to it.
_NO_NAME = re.compile(
    r"WILL|DENIE[SD]|NOTE[SD]|STATE[SD]|REPORT(?:S|ED)|REVIEWED|AGREE[SD]|SAW|SEES|IS|WAS|HAS|HAD|ADVISE[SD]"
    r"|RECOMMEND(?:S|ED)|CALLED|PRESENT(?:S|ED)|COMPLAINS|TAKES|TOOK|AND|AT|FOR|WITH|WHO|BY|TO|SEEN|READ"
)
# Numbers that belong to an address or a telephone number. They begin the line, or end it.
_HOUSE_BEFORE = re.compile(
    r"(?:\A|[\n:,]|\b(?:at|is|to|address))[ \t]*(\d{1,5}[a-z]?[ \t]+)\Z", re.IGNORECASE
)
_DIGITS_BEFORE = re.compile(r"(?:\A|\n|:)[ \t]*((?:\+?\(?\d{1,4}\)?[ .-]){1,3})\Z")
_DIGITS_BEHIND = re.compile(
    r"((?:[ .-]\d{2,4}){1,3})(?=[ \t]*(?:[\r\n]|\Z|(?:office|fax|mobile|home|cell|work)\b))"
)
# What belongs to a place and follows it: the kind of organisation, the rest of "Stoke-on-Trent".
_KIND_BEHIND = re.compile(
    r"(?:-(?:on|upon|by|in|under|le|sur)-[^\W\d_]+)?"
    r"(?:(?i:[ \t](?:&[ \t])?(?:hospice|p(?:a)?ediatrics|practice|snf|rehab|apartments|county|lab"
    r"|laboratory|imaging|genomics|hospital|infirmary|surgery|station|intermediate|elementary|academy|school"
    r"|orchards?|farms?|supply|pharmacy|health|medical|clinic|centre|center|parish|township))(?!\w))*"
)
# The part of a house, before the rest of an address: "Flat 2b, Rosebank, 17 High Street".
_UNIT_BEFORE = re.compile(
    r"\b(?:flat|shop|unit|apt|apartment|suite|level|lot)[ \t]\w{1,4},[ \t]"
    r"(?:[A-Z][\w'’]+,[ \t])?\Z",
    re.IGNORECASE,
)
# What follows a name used as an ordinary word: "Small meals", "Young-onset".
_BEHIND_WORD = re.compile(
    r"(?:[ \t]|-)(?:adults?|acting|age|amounts?|bites|blood|bones?|bowel|camp|cells?|children"
    r"|community|count|decline|discharge|doses?|drops?|gr[ae]y|group|headache|increase|leader|man|matter|meals?"
    r"|months|mornings?|objects?|onset|pains?|people|pigment|satiety|school|score|signs|sips|sputum"
    r"|standing|stools?|tenderness|term|urine|vacation|vessel|walks?|woman)\b",
    re.IGNORECASE,
)
# The header of a column of names, a cell that may hold one, and what stands between two cells.
_HEADER = re.compile(
    r"prescrib(?:er|ed by)|provider|clinician|doctor|dr|physician|consultant|surgeon|attending"
    r"|nurse|pharmacist|author|patient(?: name)?|relative|carer"
    r"|(?:given|entered|seen|checked|ordered) by",
    re.IGNORECASE,
)
_NAME = r"[^\W\d_a-z](?:\.|[^\W\d_]*(?:['’-][^\W\d_]+)*)"
_CELL = re.compile(rf"{_NAME}(?:,?[ ]{_NAME}){{0,3}}")
_BORDER = re.compile(r"\t|\|")
COLUMNS = 3  # fewest columns of a table
# Before one of these, initials that are also a word ("AS") are a person's.
_VERB = re.compile(
    r"(?:['’]s)?[ \t]+(?:was|is|has|had|denie[sd]|report(?:s|ed)|state[sd]|agree[sd]|will|and)\b"
)
_DOTTED = re.compile(r"(?:[^\W\d_]\.[ \t]?){2,3}")


def cut_name(text: str, c: Candidate, *, fields: bool = True) -> Candidate:
    """Cut a name where it ends: before the next field name of a form and, in a line of capitals,
    before words that a rule took as part of the name.

    text (str): The text.
    c (Candidate): The candidate.
    fields (bool): Whether a name that fills a field to its end stays whole in a line of capitals.
    RETURNS (Candidate): The name; any other identifier as it is.
    """
    if identifier_of(c.label) != "name":
        return c
    last = _LETTERS.match(text, c.end)  # of a word that is cut in two
    field = _FIELD.search(text, c.start, last.end() if last else c.end)
    if field is not None and c.start < field.start() < c.end:
        c = c._replace(end=field.start())
    if not c.rule or not line_of(text, c).isupper():
        return c
    before = text[max(c.start - LINE, 0) : c.start].rpartition("\n")[2]
    if fields and ":" in before and _END.match(text, c.end):
        return c
    words = [m for m in WORD.finditer(text, c.start, c.end) if m.group() not in SMALL]
    if c.rule == CREDENTIAL:
        kept = [m for m in words[-CAPITALS:] if not _NO_NAME.fullmatch(m[0])]
        return c._replace(start=kept[0].start()) if kept and len(kept) < len(words) else c
    n_words = next((i for i, m in enumerate(words) if i and _NO_NAME.fullmatch(m[0])), len(words))
    if (n_words := min(n_words, CAPITALS)) >= len(words):
        return c
    return c._replace(end=c.start + len(text[c.start : words[n_words].start()].rstrip()))


def find_beside(text: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Find what belongs to the name beside it: initials, a nickname in quotes, the rest of a double
    name. Also find the rest of places and telephone numbers, and the initials of a full name
    wherever they stand alone.

    text (str): The text.
    candidates (Iterable[Candidate]): The candidates.
    RETURNS (list[Candidate]): Further candidates, and longer versions of those given.
    """
    found: list[Candidate] = []
    initials: dict[str, float] = {}
    known = read_words()
    for c in candidates:
        if longer := _find_rest(text, c):
            found.append(longer)
        if identifier_of(c.label) != "name":
            continue
        start, end = c.start, c.end
        if match := _JOINED_BEHIND.match(text, end):
            end = match.end()
        if match := _JOINED_BEFORE.search(text, max(start - LINE, 0), start):
            start = match.start()
        if match := _INITIAL_BEFORE.search(text, max(start - 12, 0), start):
            start = match.start()
        if match := _FIRST_AFTER.match(text, end):
            is_initial = match[1].isupper() and len(match[1].strip(". ")) < 4
            if is_initial and _END.match(text, match.end()) or match[0][-1] == ".":
                end = match.end()
        if (start, end) != (c.start, c.end):
            found.append(c._replace(start=start, end=end))
        if (match := _NICKNAME.match(text, end)) and (
            match[1].istitle() and '"' in match[0] or not all_plain(match[1])
        ):
            found.append(c._replace(start=match.start(1), end=match.end(1)))
        while match := _NEXT_NAME.match(text, end):
            if match[1].lower() in known.plain or stands_as_term(text, *match.span(1)):
                break
            end = match.end()
            found.append(c._replace(start=match.start(1), end=end))
        words = WORD.findall(text, c.start, c.end)
        if len(words) == 2 and "," not in text[c.start : c.end]:
            letters = words[0][0].upper() + words[1][0].upper()
            initials[letters] = max(c.score, initials.get(letters, 0.0))
        if _DOTTED.fullmatch(text, c.start, c.end):
            again = re.compile(rf"(?<![\w.]){re.escape(text[c.start : c.end].strip())}")
            found += [c._replace(start=m.start(), end=m.end()) for m in again.finditer(text)]
    if initials:
        for match in re.finditer(r"(?<![\w/.-])[A-Z]{2}(?![\w/-])", text):
            score = initials.get(match[0])
            if score and (match[0].lower() not in known.plain or _VERB.match(text, match.end())):
                found.append(Candidate(match.start(), match.end(), "PERSON", score, REPEATED))
    return found


def _find_rest(text: str, c: Candidate) -> Candidate | None:
    """Find what belongs to the place or telephone number beside it: numbers, a flat or unit, the
    kind of organisation."""
    identifier = identifier_of(c.label)
    inside = text[c.start : c.end]
    before = text[max(c.start - LINE, 0) : c.start]
    start, end = c.start, c.end
    if identifier == "geography" and re.search(r"[^\W\d]", inside):
        if re.search(r"\d", inside) and (match := _HOUSE_BEFORE.search(before)):
            start -= len(match[1])
        elif match := _UNIT_BEFORE.search(before):
            start -= len(match[0])
        if inside[0].isupper() and (match := _KIND_BEHIND.match(text, end)):
            is_part = match[0].startswith("-") or text[end + 1 : end + 2].isupper()
            end = match.end() if is_part else end
    elif identifier in ("phone", "fax", "ssn") and not re.search(r"[^\W\d]", inside):
        if match := _DIGITS_BEFORE.search(before):
            start -= len(match[1])
        if match := _DIGITS_BEHIND.match(text, end):
            end = match.end(1)
    return None if (start, end) == (c.start, c.end) else c._replace(start=start, end=end)


def find_in_columns(text: str) -> list[Candidate]:
    """Find the names in table columns whose header announces names ("Prescriber").

    text (str): The text. Tabs or bars separate the cells of a table.
    RETURNS (list[Candidate]): The names in the cells below such a header.
    """
    found: list[Candidate] = []
    columns: list[int] = []  # of names, in the current table
    width = start = 0
    for line in text.splitlines(keepends=True):
        cells = _read_cells(line)
        if len(cells) < COLUMNS or len(cells) != width:
            width = len(cells)
            columns = [
                i
                for i, cell in enumerate(cells)
                if len(cells) >= COLUMNS and _HEADER.fullmatch(line, *cell)
            ]
        else:
            found += [
                Candidate(start + cells[i][0], start + cells[i][1], "PERSON", GUESS, COLUMN)
                for i in columns
                if _CELL.fullmatch(line, *cells[i])
            ]
        start += len(line)
    return found


def _read_cells(line: str) -> list[tuple[int, int]]:
    """RETURNS (list[tuple[int, int]]): Where the text of each cell of a line begins and ends."""
    borders = [0, *(i for m in _BORDER.finditer(line) for i in m.span()), len(line)]
    cells = []
    for start, end in zip(borders[::2], borders[1::2], strict=True):
        cell = line[start:end]
        start += len(cell) - len(cell.lstrip())
        cells.append((start, start + len(cell.strip())))
    return cells


def find_repeated(doc: Doc, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Find the words of names wherever else they occur, capitalised like a name.

    doc (Doc): The document.
    candidates (Iterable[Candidate]): The candidates.
    RETURNS (list[Candidate]): The words of the names, with the highest score of those names.
    """
    names: dict[str, float] = {}
    known = read_words()
    for c in candidates:
        if identifier_of(c.label) != "name":
            continue
        c = cut_name(doc.text, c, fields=False)
        for token in expand_to_tokens(doc, c.start, c.end, c.label):
            is_word = any(map(str.isalpha, token.text)) and not token.text.endswith(".")  # "Dr."
            if len(token) > 2 and is_word and not token.is_stop and token.lower_ not in known.plain:
                names[token.lower_] = max(c.score, names.get(token.lower_, 0.0))
    if not names:
        return []
    covered = {i for match in known.phrases.finditer(doc.text) for i in range(*match.span())}
    return [
        Candidate(token.idx, token.idx + len(token), "PERSON", names[name], REPEATED)
        for token in doc
        if (name := _singular(token.lower_, names)) in names
        and token.idx not in covered
        and not (token.lower_ in known.names and _is_word(doc, token))
        and not (
            name in known.eponyms and stands_as_term(doc.text, token.idx, token.idx + len(token))
        )
    ]


def _is_word(doc: Doc, token: Token) -> bool:
    """Whether a word that is also a name is used as an ordinary word: in lower case, or before
    a word that shows it ("Small meals", "Young-onset")."""
    if token.is_lower:
        return True
    if token.i and TITLE.search(doc.text, max(token.idx - 12, 0), token.idx):
        return False
    return _BEHIND_WORD.match(doc.text, token.idx + len(token)) is not None


def _singular(word: str, names: Container[str]) -> str:
    """The surname of a family, if it is one of the names: "halvorsens" -> "halvorsen"."""
    return word[:-1] if word not in names and word[-1:] == "s" and word[:-1] in names else word


def find_names_of_fields(text: str, fields: Iterable[Candidate]) -> list[Candidate]:
    """Find the words of names in fields wherever else they occur. They need not be whole tokens.

    text (str): The text.
    fields (Iterable[Candidate]): The contents of fields.
    RETURNS (list[Candidate]): The words.
    """
    names: set[str] = set()
    for field in fields:
        if identifier_of(field.label) == "name":
            names.update(word.lower() for word in WORD.findall(text, field.start, field.end))
    names -= read_words().plain
    return [
        Candidate(*match.span(), "PERSON", 1.0, REPEATED)
        for match in WORD.finditer(text)
        if len(match[0]) > 2 and match[0].lower() in names and not match[0].islower()
    ]
