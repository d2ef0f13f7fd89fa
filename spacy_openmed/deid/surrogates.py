"""Surrogates: made-up values that consistently replace real ones, by a key. Needs extra [deid]."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from threading import Lock

from ..errors import Errors
from .identifiers import identifier_of

try:
    import regex
    from faker import Faker
    from faker.providers.address.en_US import Provider as AddressProvider
    from faker.providers.person.de_DE import Provider as German
    from faker.providers.person.en_GB import Provider as British
    from faker.providers.person.en_IN import Provider as Indian
    from faker.providers.person.en_US import Provider
    from faker.providers.person.es_ES import Provider as Spanish
    from faker.providers.person.fr_FR import Provider as French
    from faker.providers.person.it_IT import Provider as Italian
except ImportError as error:
    raise ImportError(Errors.OM500.format(package=error.name)) from error


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD = r"\p{L}[\p{L}\p{M}]*"
_PART = regex.compile(rf"(?P<word>{_WORD}(?:['’]{_WORD})*)|\p{{N}}+")
_KIND = re.compile(
    r"\b(?:hospital|clinic|(?:medical|health|cancer|surgery) cent(?:er|re)|university|pharmacy"
    r"|(?:nursing|care|funeral) home|(?:high |primary |middle |elementary )?school|daycare|academy"
    r"|college|church|infirmary|hospice|(?:&|and) sons)\b",
    re.IGNORECASE,
)
_ATTEMPTS = 8  # to make a value that differs from the original
# Patients have names from many countries. Names of both sexes count for neither.
_COUNTRIES = (Provider, British, French, German, Indian, Italian, Spanish)
_FEMALE = {name.lower() for country in _COUNTRIES for name in country.first_names_female}
_MALE = {name.lower() for country in _COUNTRIES for name in country.first_names_male}
_WOMEN, _MEN = _FEMALE - _MALE, _MALE - _FEMALE
_STATES = {name.lower() for name in AddressProvider.states}
_STATE_CODES = {*AddressProvider.states_abbr, "DC", "PR"}
# Parts of names, and of addresses, that identify nobody.
_KEPT_IN_NAMES = _words("jr sr ii iii iv phd dds esq mr mrs ms mx miss dr prof")
_CREDENTIALS = _words("md do rn np")
_UNITS = ("po", "p.o", "apt", "suite", "unit")
_KEPT_IN_ADDRESSES = _words(
    "st street ave av avenue rd road blvd boulevard ln lane dr drive ct court way place pl"
    " terrace ter circle cir parkway pkwy highway hwy square sq trail trl loop alley plaza"
    " crescent cres close gardens garden grove mews row hill ridge path pike apt apartment"
    " suite ste unit floor fl no box po p o n s e w ne nw se sw north south east west the of"
)
_SEX_BEFORE = re.compile(
    r"\b(?:(?P<woman>mrs|ms|miss|mme|sister|madam|she|female|woman|lady|girl|mother|mom|mum|wife"
    r"|daughter|dtr|grandmother|aunt|niece|girlfriend)"
    r"|(?P<man>mr|sir|he|male|man|gentleman|boy|father|dad|husband|son|brother|grandfather|uncle"
    r"|nephew|boyfriend))\b\W*(?:\b(?:named|called|is|was|dr|prof|patient|pt|\w\.)\W+)*\Z",
    re.IGNORECASE,
)
# After a name: "is a 40-year-old man", "62F", and the first "he" or "she".
_SEX_BEHIND = re.compile(
    r"[\s,(]*(?:(?:is|was)\s+)?(?:an?\s+)?\d{1,3}(?:[\s-]*(?:years?|yrs?|y))?[\s/-]*"
    r"(?:(?:old|o)\b[\s,-]*|(?:,[\s,-]*)?)"
    r"(?:[\w-]+\s+){0,2}?(?:(?P<woman>woman|female|lady|girl|f)|(?P<man>man|male|gentleman|boy|m))\b"
    r"|.*?\b(?:(?P<she>she)|(?P<he>he))\b",
    re.IGNORECASE | re.DOTALL,
)
_NEAR = 150  # characters after a name in which to look for the sex, up to the next name
_TITLE = re.compile(r"\b(?:mrs?|ms|miss|dr|prof|rev|sir)\b\.?\s*\Z", re.IGNORECASE)
_POSSESSIVE = re.compile(r"['’]s?\Z", re.IGNORECASE)
GIVEN, WOMAN, MAN, SURNAME = "given", "woman", "man", "surname"


_LOCK = Lock()  # so that no other thread seeds Faker in between


@lru_cache(maxsize=1)
def _faker() -> Faker:
    """One shared instance: making it takes longer than a call."""
    return Faker("en_US", use_weighting=False)


@dataclass
class People:
    """What a document reveals about its names and numbers.

    roles (dict[str, str]): The role of each name word in lower case: "given", "woman", "man" or
        "surname".
    phones (set[str]): Digits of the telephone numbers.
    """

    roles: dict[str, str] = field(default_factory=dict)
    phones: set[str] = field(default_factory=set)


def read_people(text: str, found: Iterable[tuple[int, int, str]]) -> People:
    """Collect what a document reveals about its names and numbers.

    text (str): The text.
    found (Iterable[tuple[int, int, str]]): Start, end and label of its identifiers.
    RETURNS (People): The roles of its name words, and its telephone numbers.
    """
    people = People()
    found = [*found]
    names = sorted(start for start, _, label in found if identifier_of(label) == "name")
    for start, end, label in found:
        kind = identifier_of(label)
        if kind in ("phone", "fax"):
            people.phones.add(_figures(text[start:end]))
        if kind != "name":
            continue
        words = [
            (match.start(), _strip(match["word"]))
            for match in _PART.finditer(text, start, end)
            if match["word"]
        ]
        name = text[start:end]
        words = [(at, w) for at, w in words if not _is_kept_in_name(w, name) and len(w) > 1]
        if not words:
            continue
        before = text[max(start - 30, 0) : words[0][0]]  # a title may be part of the name
        following = bisect_left(names, end)
        behind = min([end + _NEAR, *names[following : following + 1]])
        sex = _read_sex(_SEX_BEFORE.search(before))
        if sex == GIVEN and len(words) > 1:
            sex = _read_sex(_SEX_BEHIND.match(text, end, behind))
        comma = text.find(",", start, end)
        if start < comma < words[-1][0]:
            surnames = [word for at, word in words if at < comma]
        elif len(words) > 1:  # after the last space: "Price-Wray"
            last = max(text.rfind(" ", start, words[-1][0]), words[0][0])
            surnames = [word for at, word in words if at > last]
        else:
            surnames = [words[0][1]] if _TITLE.search(before) else []
        given = [word for _, word in words if word not in surnames]
        if len(words) == 1 and sex == GIVEN:
            given = []
        for word in given:
            if people.roles.get(word.lower(), GIVEN) == GIVEN:
                people.roles[word.lower()] = sex
        for word in surnames:
            people.roles.setdefault(word.lower(), SURNAME)
    return people


def _read_sex(match: re.Match[str] | None) -> str:
    if match is None:
        return GIVEN
    return WOMAN if match.lastgroup in ("woman", "she") else MAN


def _is_kept_in_name(word: str, name: str) -> bool:
    """Whether a word of a name is a title, a credential or the like. A credential may also be a
    name ("Anh Do"), so it counts only in capitals, in a name that is not all in capitals."""
    if word.lower() in _CREDENTIALS:
        return word.isupper() and not name.isupper()
    return word.lower() in _KEPT_IN_NAMES


def _strip(word: str) -> str:
    return _POSSESSIVE.sub("", word)


class Surrogates:
    """Replaces values with surrogates. A surrogate depends only on the value, the secret and what
    the document reveals about the value, so documents can be processed in any order and in any
    process.

    secret (bytes): The secret, a different one for each patient.
    """

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def __call__(self, label: str, text: str, people: People | None = None) -> str:
        """Get a surrogate.

        label (str): Canonical label of the identifier.
        text (str): Its text.
        people (People | None): What the document reveals about names and numbers.
        RETURNS (str): A value of the same kind. Each word of a name has its own surrogate, so that
            "John Miller" and "Mr. Miller" stay the same man. Initials are those of the surrogate.
            Numbers keep their format, and get the same surrogate in any format.
        """
        people = people or People()
        text = unicodedata.normalize("NFC", text)
        kind = identifier_of(label)
        if kind == "name":
            return self._make_name(text, people)
        if kind == "geography" and label not in ("ZIP_CODE", "ORGANIZATION", "COORDINATE"):
            if text.lower() in _STATES or text in _STATE_CODES:
                return self._make(label, text, _make_state)
            if label.startswith(("STREET", "ADDRESS", "SECONDARY", "BUILDING")) or any(
                map(str.isdigit, text)
            ):
                return self._make_address(text)
        if kind in ("geography", "email", "url") and label not in ("ZIP_CODE", "COORDINATE"):
            return self._make(label, text, _make_up)
        return self._make_number(kind, text, people)

    def _make(self, label: str, text: str, make: Callable[[Faker, str, str], str]) -> str:
        value = _bare(text)
        made = text
        for attempt in range(_ATTEMPTS):
            fake = _faker()
            seed = blake2b(f"{attempt} {value}".encode(), key=self.secret, digest_size=8)
            with _LOCK:
                fake.seed_instance(int.from_bytes(seed.digest(), "big"))
                made = make(fake, label, text)
            if _bare(made) != value:
                break
        return made

    def _make_name(self, text: str, people: People) -> str:
        has_given = False

        def replace(match: regex.Match[str]) -> str:
            nonlocal has_given
            word = match["word"]
            if not word:
                return self._make_number("other", match[0], people)
            is_kept = _is_kept_in_name(word, text) and (has_given or len(word) > 1)
            has_given = True
            if is_kept and text.strip() != word:
                return word
            base = _strip(word)
            if base.lower() not in people.roles and base[:-1].lower() in people.roles:
                base = base[:-1] if base[-1] in "sS" else base
            made = self._make_word(base, people)
            return made + word[len(base) :]

        return _PART.sub(replace, text)

    def _make_word(self, word: str, people: People) -> str:
        if len(word) < 4 and word.isupper() and word.lower() not in people.roles:
            return self._make_initials(word, people)
        role = people.roles.get(word.lower(), "")
        return self._make(role, word, _make_word)

    def _make_initials(self, letters: str, people: People) -> str:
        """The first letters of the surrogates of the names that begin with these letters."""
        made = ""
        for number, letter in enumerate(letters):
            is_last = 0 < number == len(letters) - 1
            names = [
                name
                for name, role in people.roles.items()
                if name[0] == letter.lower() and (role == SURNAME) == is_last
            ]
            if names:
                made += self._make(people.roles[names[0]], names[0], _make_word)[0].upper()
            elif len(letters) == 1:
                made += self._make("", letter, lambda fake, *_: fake.random_uppercase_letter())
            else:
                return self._make(people.roles.get(letters.lower(), ""), letters, _make_word)
        return made

    def _make_address(self, text: str) -> str:
        words = [word for word in _ADDRESS_PART.findall(text) if word.isalpha()]
        # "12 Hill Street": if all words are kinds of roads, the first is the road's name.
        is_road = not text.lower().startswith(_UNITS)
        all_kept = len(words) > 1 and all(word.lower() in _KEPT_IN_ADDRESSES for word in words)
        name = words[0] if is_road and all_kept else None

        def replace(match: regex.Match[str]) -> str:
            part = match[0]
            if part.lower() in _KEPT_IN_ADDRESSES and part != name:
                return part
            if part.lower() in _STATES or part in _STATE_CODES:
                return self._make("", part, _make_state)
            if any(map(str.isdigit, part)):
                return self._make_number("other", part, People())
            return self._make(SURNAME, part, _make_word)

        return _ADDRESS_PART.sub(replace, text)

    def _make_number(self, kind: str | None, text: str, people: People) -> str:
        """Other digits and letters in the same places. The new digits depend only on the digits,
        the new letters only on the letters."""
        figures = _figures(text)
        is_phone = kind in ("phone", "fax") or figures in people.phones
        if not is_phone:  # a leading 1 is not a prefix
            figures = "".join(c for c in text if c.isalnum() and not c.isalpha())
        letters = "".join(filter(str.isalpha, text))
        new_figures = self._make("", figures, _make_figures) if figures else ""
        new_letters = iter(self._make("", letters, _make_letters) if letters else "")
        if is_phone:
            new_figures = _make_unused(new_figures)
        elif kind == "ssn" and new_figures:  # No Social Security number begins with 9.
            new_figures = f"9{new_figures[1:]}"
        n_prefix = sum(c.isalnum() and not c.isalpha() for c in text) - len(figures)
        queue = iter(new_figures)
        made = []
        for c in text:
            if c.isalpha():
                letter = next(new_letters)
                c = letter.lower() if c.islower() else letter
            elif c.isalnum():
                if n_prefix:
                    n_prefix -= 1
                else:
                    c = next(queue)
            made.append(c)
        return "".join(made)


_ADDRESS_PART = regex.compile(rf"{_WORD}(?:['’]{_WORD})*|\p{{N}}[\p{{N}}\p{{L}}]*")


def _figures(text: str) -> str:
    """The digits of a number, without the American country code 1 of a telephone number."""
    figures = "".join(c for c in text if c.isalnum() and not c.isalpha())
    return figures[1:] if len(figures) == 11 and figures[0] == "1" else figures


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _make_up(fake: Faker, label: str, text: str) -> str:
    kind = identifier_of(label)
    if label == "ORGANIZATION":
        found = _KIND.search(text)
        return f"{fake.last_name()} {found.group() if found else fake.company_suffix()}"
    if kind == "email":
        return fake.ascii_safe_email()
    if kind == "url":
        return f"https://{fake.domain_word()}.example.org"
    return _like(fake.city(), text)


def _make_state(fake: Faker, label: str, text: str) -> str:
    if text in _STATE_CODES:
        return fake.state_abbr(include_territories=False)
    return _like(fake.state(), text)


def _make_word(fake: Faker, role: str, word: str) -> str:
    lower = word.lower()
    if role == SURNAME:
        name = fake.last_name()
    elif role == WOMAN or (role != MAN and lower in _WOMEN):
        name = fake.first_name_female()
    elif role == MAN or lower in _MEN:
        name = fake.first_name_male()
    else:
        name = fake.first_name() if role == GIVEN else fake.last_name()
    return _like(name, word)


def _like(name: str, word: str) -> str:
    return name.upper() if word.isupper() else name.lower() if word.islower() else name


def _make_figures(fake: Faker, label: str, figures: str) -> str:
    return "".join(str(fake.random_digit()) for _ in figures)


def _make_letters(fake: Faker, label: str, letters: str) -> str:
    return "".join(fake.random_uppercase_letter() for _ in letters)


def _make_unused(figures: str) -> str:
    """Make a telephone number end in 555-01XX, a range that is never assigned."""
    last = min(len(figures), 10)
    return f"{figures[: last - 7]}55501{figures[last - 2 :]}" if last >= 7 else figures
