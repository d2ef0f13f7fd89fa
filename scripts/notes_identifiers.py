"""Fill the identifier placeholders of the notes corpus with invented values."""

import random
import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from typing import Any, NamedTuple

PLACEHOLDER = re.compile(r"\{([A-Za-z]+\d*)((?:[+-]\d+)?)((?:\.[A-Za-z]+)?)((?::[a-z0-9]+)?)\}")

# Placeholder without its number: type of the identifier.
TYPES = {
    "patient": "PERSON",
    "dr": "PERSON",
    "staff": "PERSON",
    "relf": "PERSON",
    "relm": "PERSON",
    "date": "DATE",
    "dob": "DATE",
    "age90": "AGE",
    "street": "LOCATION",
    "city": "LOCATION",
    "state": "LOCATION",
    "zip": "LOCATION",
    "hospital": "ORGANIZATION",
    "org": "ORGANIZATION",
    "phone": "PHONE",
    "fax": "PHONE",
    "email": "EMAIL",
    "url": "URL",
    **dict.fromkeys(
        ("mrn", "ssn", "plan", "account", "license", "plate", "serial", "ip", "id"), "ID"
    ),
}
NAME_FORMS = ("", "first", "last", "lastfirst", "middle", "initial", "initials")
DATE_FORMS = ("", "short", "monthyear", "year", "long", "iso", "hl7")
# Country of a note: Faker's locale for its places, numbers and most of its names.
LOCALES = {
    "US": "en_US",
    "UK": "en_GB",
    "CA": "en_CA",
    "AU": "en_AU",
    "IE": "en_IE",
    "IN": "en_IN",
    "NZ": "en_NZ",
    "PH": "en_PH",
    "SG": "en_GB",
    "ZA": "zu_ZA",
    "NG": "en_NG",
    "KE": "en_GB",
}
# Locales of the other names; all are written in Latin letters.
ORIGINS = (
    *("es_MX", "es_ES", "pt_BR", "fr_FR", "de_DE", "it_IT", "pl_PL", "nl_NL", "sv_SE", "fi_FI"),
    *("tr_TR", "vi_VN", "id_ID", "en_IN", "cs_CZ", "hu_HU", "ro_RO", "hr_HR", "lt_LT", "en_PH"),
    *("yo_NG", "ha_NG", "zu_ZA", "tw_GH", "ga_IE", "az_AZ", "da_DK", "no_NO", "en_US", "en_GB"),
)
INSTITUTIONS = (
    *("General Hospital", "Medical Center", "Community Hospital", "Clinic", "Regional Hospital"),
    *("Infirmary", "Health Centre", "University Hospital", "Memorial Hospital", "Surgery"),
)
EMPLOYERS = ("High School", "Nursing Home", "Logistics", "& Sons", "Care Home", "Foods", "Primary")
PATTERNS = {
    "mrn": ("#######", "########", "MRN######", "@#######", "##-##-##", "#####-#", "@@#####"),
    "plan": ("@@@#########", "###-##-####-@", "W##########", "#### ##### ##"),
    "account": ("##########", "####-####-####", "ACC#######", "V#########"),
    "license": ("@#######", "@@######", "#######", "@@@#####"),
    "plate": ("@@@ ####", "###-@@@", "@@## @@@", "#@@@###"),
    "serial": ("SN-@@######", "@@##-#####-@", "#########@", "@@@######@"),
    "ip": ("10.##.1##.##", "192.168.#.##", "172.16.##.1##"),
    "id": ("S##-#####", "@##-####", "##-@@-#####", "########", "@@@-##-####", "##@#######"),
}
SSNS = {
    "US": ("###-##-####", "### ## ####"),
    "UK": ("### ### ####", "##########"),
    "CA": ("### ### ###",),
    "AU": ("#### ##### #", "##########"),
    "IE": ("#######@", "#######@@"),
    "IN": ("#### #### ####",),
    "NZ": ("@@@####",),
    "SG": ("S#######@", "T#######@"),
    "ZA": ("#############",),
}
# For countries without numbers in Faker.
PHONES = {
    "IE": ("01 ### ####", "08# ### ####", "+353 8# ### ####"),
    "PH": ("+63 9## ### ####", "09##-###-####", "(02) 8###-####"),
    "SG": ("+65 #### ####", "9### ####", "6### ####"),
    "ZA": ("0## ### ####", "+27 ## ### ####"),
    "NG": ("080########", "+234 80# ### ####"),
    "KE": ("+254 7## ######", "07## ### ###"),
}


class Person(NamedTuple):
    """An invented person."""

    first: str
    middle: str
    last: str

    def write(self, form: str) -> str:
        """RETURNS (str): The name in one of the `NAME_FORMS`."""
        return {
            "": f"{self.first} {self.last}",
            "first": self.first,
            "last": self.last,
            "lastfirst": f"{self.last}, {self.first}",
            "middle": f"{self.first} {self.middle}. {self.last}",
            "initial": f"{self.first[0]}. {self.last}",
            "initials": f"{self.first[0]}{self.last[0]}",
        }[form]


class Filler:
    """Invents the values of one note. The same placeholder always gives the same value, but
    {date:short} and {date:monthyear} may be written in another way each time.

    seed (str): The note's id and a number; another one gives other values.
    country (str): Key of `LOCALES`.
    sex (str): The patient's: "F", "M", or anything else.
    age (int | None): The patient's age in years.
    """

    def __init__(self, seed: str, country: str, sex: str, age: int | None) -> None:
        self.rng = random.Random(seed)
        self.country = country
        self.sex = sex
        self.age = age
        self.people: dict[str, Person] = {}
        self.values: dict[str, str] = {}
        self.today = date(2012, 1, 1) + timedelta(days=self.rng.randrange(365 * 14))
        years = age if age is not None else self.rng.randint(18, 89)
        self.birth = self.today - timedelta(days=int(365.25 * years) + self.rng.randrange(1, 364))
        self.write_date = self.rng.choice(_date_styles(country))

    def fill(self, match: re.Match[str]) -> tuple[str, str]:
        """Invent a value for a placeholder.

        match (re.Match): A match of `PLACEHOLDER` without fault, see `find_fault`.
        RETURNS (tuple[str, str]): The value, and the identifier's type.
        """
        name, offset, form, style = match.groups()
        stem, number = split_name(name)
        key = f"{stem}{number}"
        if TYPES[stem] == "PERSON":
            value = self._person(stem, key).write(form[1:].lower())
        elif stem in ("date", "dob"):
            day = self.birth if stem == "dob" else self.today + timedelta(days=int(offset or 0))
            value = self._date(day, style[1:])
        else:
            if key not in self.values:
                self.values[key] = self._make(stem)
            value = self.values[key]
        return (value.upper() if name.isupper() else value), TYPES[stem]

    def _person(self, stem: str, key: str) -> Person:
        if key not in self.people:
            own = LOCALES[self.country]
            locale = own if self.rng.random() < 0.5 else self.rng.choice(ORIGINS)
            sex = {"patient": self.sex, "relf": "F", "relm": "M"}.get(stem, "X")
            sex = sex if sex in ("F", "M") else self.rng.choice("FM")
            first = self._ask(locale, "first_name_female" if sex == "F" else "first_name_male")
            last = self._ask(locale, "last_name")
            if stem.startswith("rel") and self.rng.random() < 0.6:
                last = self._person("patient", "patient1").last
            self.people[key] = Person(first, self.rng.choice("ABCDEGHJKLMNPRST"), last)
        return self.people[key]

    def _date(self, day: date, style: str) -> str:
        if style == "iso":
            return day.isoformat()
        if style == "hl7":
            return day.strftime("%Y%m%d")
        if style == "year":
            return str(day.year)
        if style == "monthyear":
            return day.strftime(self.rng.choice(("%B %Y", "%m/%Y", "%b %Y")))
        month_first = self.country in ("US", "PH", "CA")
        if style == "long":
            written = f"{day:%B} {day.day}, {day.year}", f"{day.day} {day:%B} {day.year}"
            return written[0] if month_first else written[1]
        if style == "short":
            slashed = f"{day.month}/{day.day}" if month_first else f"{day.day}/{day.month}"
            return self.rng.choice((slashed, slashed, f"{day.day} {day:%b}"))
        return self.write_date(day)

    def _make(self, stem: str) -> str:
        locale, rng = LOCALES[self.country], self.rng
        if stem == "age90":
            return str(rng.randint(90, 102))
        if stem == "street":
            return " ".join(self._ask(locale, "street_address").split())
        if stem == "city":
            return self._ask(locale, "city")
        if stem == "state":
            method = {"US": "state", "AU": "state", "IN": "state", "CA": "province"}
            return self._ask(locale, method.get(self.country, "city"))
        if stem == "zip":
            return self._ask(locale, "postcode")
        if stem == "hospital":
            saint = f"St {self._ask('en_GB', 'first_name')}'s"
            name = rng.choice((self._ask(locale, "last_name"), self._ask(locale, "city"), saint))
            return f"{name} {rng.choice(INSTITUTIONS)}"
        if stem == "org":
            return f"{self._ask(locale, 'last_name')} {rng.choice(EMPLOYERS)}"
        if stem in ("phone", "fax") and self.country not in PHONES:
            return self._ask(locale, "phone_number")
        if stem == "email":
            return self._ask(locale, "ascii_safe_email")
        if stem == "url":
            return self._ask(locale, "url") + rng.choice(
                ("", "portal", f"p/{rng.randint(10, 9999)}")
            )
        own = {"ssn": SSNS, "phone": PHONES, "fax": PHONES}.get(stem)
        patterns = own.get(self.country, SSNS["US"]) if own else PATTERNS[stem]
        return _from_pattern(rng.choice(patterns), rng)

    def _ask(self, locale: str, method: str) -> str:
        """Call Faker, seeded by our own random numbers only."""
        faker = _faker(locale)
        faker.seed_instance(self.rng.getrandbits(32))
        return str(getattr(faker, method)())


def split_name(name: str) -> tuple[str, str]:
    """Split a placeholder's name: "dr2" into "dr" and "2", "phone" into "phone" and "1"."""
    name = name.lower()
    if name == "age90":
        return name, "1"
    stem = name.rstrip("0123456789")
    return stem, name[len(stem) :] or "1"


def find_fault(match: re.Match[str]) -> str | None:
    """Check a placeholder.

    match (re.Match): A match of `PLACEHOLDER`.
    RETURNS (str | None): What is wrong with it.
    """
    name, offset, form, style = match.groups()
    stem, _ = split_name(name)
    kind = TYPES.get(stem)
    if kind is None:
        return f"unknown placeholder {match[0]}"
    if form and (kind != "PERSON" or form[1:].lower() not in NAME_FORMS):
        return f"{match[0]} has an unknown form of a name"
    if style and (kind != "DATE" or style[1:] not in DATE_FORMS):
        return f"{match[0]} has an unknown format of a date"
    if offset and stem != "date":
        return f"{match[0]}: only {{date}} takes an offset"
    if len(offset) > 6:
        return f"{match[0]} is too far from the note's day"
    return None


def _date_styles(country: str) -> tuple[Callable[[date], str], ...]:
    iso: Callable[[date], str] = date.isoformat
    words: Callable[[date], str] = lambda d: d.strftime("%d-%b-%Y")  # noqa: E731
    if country in ("US", "PH"):
        return (
            lambda d: d.strftime("%m/%d/%Y"),
            lambda d: f"{d.month}/{d.day}/{d:%y}",
            lambda d: f"{d.month}/{d.day}/{d.year}",
            lambda d: f"{d:%b} {d.day}, {d.year}",
            iso,
            words,
        )
    return (
        lambda d: d.strftime("%d/%m/%Y"),
        lambda d: f"{d.day}/{d.month}/{d:%y}",
        lambda d: d.strftime("%d.%m.%Y"),
        lambda d: f"{d.day} {d:%b} {d.year}",
        iso,
        words,
    )


def _from_pattern(pattern: str, rng: random.Random) -> str:
    """Digits for `#`, capitals for `@`."""
    return "".join(
        str(rng.randint(0, 9))
        if char == "#"
        else rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ")
        if char == "@"
        else char
        for char in pattern
    )


@cache
def _faker(locale: str) -> Any:
    from faker import Faker

    return Faker(locale)
