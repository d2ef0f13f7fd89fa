"""Made-up values that stand for real ones, of the extra [deid]: the same for the same, by a key."""

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b

from .errors import Errors
from .hipaa import identifier_of

try:
    import regex
    from faker import Faker
    from faker.providers.person.en_US import Provider
except ImportError as error:
    raise ImportError(Errors.OM300.format(package=error.name)) from error

_WORD = r"\p{L}[\p{L}\p{M}]*"
_PART = regex.compile(rf"(?P<word>{_WORD}(?:['’]{_WORD})*)|\p{{N}}+")
_KIND = re.compile(
    r"\b(?:hospital|clinic|(?:medical|health|cancer|surgery) cent(?:er|re)|university|pharmacy)\b",
    re.IGNORECASE,
)
_ATTEMPTS = 8  # to make another text than the value itself
_WOMEN = {name.lower() for name in Provider.first_names_female}
_MEN = {name.lower() for name in Provider.first_names_male}


@lru_cache(maxsize=1)
def _faker() -> Faker:
    """One for all: making it takes longer than what it is asked for."""
    return Faker("en_US", use_weighting=False)


class Surrogates:
    """Give the surrogate of a value. It depends on nothing but the value and the secret, so that
    documents can be done in any order, in any process.

    secret (bytes): The secret, another one for each patient.
    """

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def __call__(self, label: str, text: str) -> str:
        """Get a surrogate.

        label (str): Canonical label of the identifier.
        text (str): Its text.
        RETURNS (str): Another text of the kind: each word of a name has its own surrogate, so that
            "John Miller" and "Mr. Miller" stay the same man; numbers keep their form, and are the
            same in any form.
        """
        text = unicodedata.normalize("NFC", text)
        if identifier_of(label) != "name":
            return self._make(label, text)
        return _PART.sub(
            lambda match: self._make("PERSON" if match["word"] else "ID", match.group()), text
        )

    def _make(self, label: str, text: str) -> str:
        value = _bare(text)
        made = text
        for attempt in range(_ATTEMPTS):
            fake = _faker()
            seed = blake2b(f"{attempt} {value}".encode(), key=self.secret, digest_size=8)
            fake.seed_instance(int.from_bytes(seed.digest(), "big"))
            made = _make_up(fake, label, text)
            if _bare(made) != value:
                break
        return made


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _make_up(fake: Faker, label: str, text: str) -> str:
    kind = identifier_of(label)
    if kind == "name":
        return _make_name(fake, text)
    if label == "ORGANIZATION":
        found = _KIND.search(text)
        return f"{fake.last_name()} {found.group()}" if found else fake.company()
    if kind == "geography" and label != "ZIP_CODE" and any(map(str.isalpha, text)):
        return fake.street_address() if any(map(str.isdigit, text)) else fake.city()
    if kind == "email":
        return fake.ascii_safe_email()
    if kind == "url":
        return f"https://{fake.domain_word()}.example.org"
    number = _make_number(fake, text)
    if kind in ("phone", "fax"):
        return _make_unused(number)
    # No Social Security number begins with 9.
    return re.sub(r"\d", "9", number, count=1) if kind == "ssn" else number


def _make_name(fake: Faker, word: str) -> str:
    if len(word) == 1:
        name = fake.random_uppercase_letter()
    elif word.lower() in _WOMEN:
        name = fake.first_name_female()
    elif word.lower() in _MEN:
        name = fake.first_name_male()
    else:
        name = fake.last_name()
    return name.upper() if word.isupper() else name.lower() if word.islower() else name


def _make_number(fake: Faker, text: str) -> str:
    """Other figures and letters in the same places."""
    made = []
    for c in text:
        if c.isalpha():
            letter = fake.random_uppercase_letter()
            c = letter.lower() if c.islower() else letter
        elif c.isalnum():
            c = str(fake.random_digit())
        made.append(c)
    return "".join(made)


def _make_unused(phone: str) -> str:
    """The end of the numbers that are given to nobody, 555-01XX."""
    places = [i for i, c in enumerate(phone) if c.isdigit()][:10][-7:-2]
    figures = dict(zip(places, "55501", strict=False)) if len(places) == 5 else {}
    return "".join(figures.get(i, c) for i, c in enumerate(phone))
