"""HIPAA's Safe Harbor: the labels of its 18 identifiers, and which parts of them may stay.

45 CFR 164.514(b)(2)(i), https://www.ecfr.gov/current/title-45/section-164.514.
"""

import re

# The identifiers (A) to (R) -> their canonical labels.
IDENTIFIERS: dict[str, tuple[str, ...]] = {
    "name": ("PERSON", "GIVEN_NAME", "MIDDLE_NAME", "SURNAME"),
    "geography": (
        *("ADDRESS", "BUILDING_NUMBER", "STREET_NAME", "STREET_ADDRESS", "SECONDARY_ADDRESS"),
        *("CITY", "COUNTY", "ZIP_CODE", "COORDINATE", "LOCATION", "ORGANIZATION"),
    ),
    "date": ("DATE", "DATE_TIME", "DATE_OF_BIRTH", "AGE"),
    "phone": ("PHONE",),
    "fax": ("FAX",),
    "email": ("EMAIL",),
    "ssn": ("SSN",),
    "medical_record": ("MEDICAL_RECORD_NUMBER",),
    "health_plan": ("HEALTH_PLAN_BENEFICIARY_NUMBER",),
    "account": (
        *("ACCOUNT_NUMBER", "BANK_ACCOUNT", "IBAN", "ROUTING_NUMBER", "SWIFT_BIC"),
        *("CREDIT_CARD", "CVV"),
    ),
    "license": ("CERTIFICATE_LICENSE_NUMBER", "DRIVERS_LICENSE"),
    "vehicle": ("VEHICLE_IDENTIFIER", "LICENSE_PLATE"),
    "device": ("DEVICE_IDENTIFIER", "MAC_ADDRESS"),
    "url": ("URL",),
    "ip": ("IP_ADDRESS", "IPV4", "IPV6"),
    "biometric": ("BIOMETRIC_IDENTIFIER",),
    "photograph": ("PHOTOGRAPH",),
    "other": (
        *("ID", "UNIQUE_ID", "GOVERNMENT_ID", "TAX_ID", "PASSPORT", "CUSTOMER_ID", "EMPLOYEE_ID"),
        *("USERNAME", "PASSWORD", "PIN", "API_KEY", "HTTP_COOKIE"),
    ),
}
_IDENTIFIER_OF = {label: name for name, labels in IDENTIFIERS.items() for label in labels}

# Three-digit ZIP code areas with 20,000 people or fewer in the Census of 2000:
# Office for Civil Rights, "Guidance Regarding Methods for De-identification", 2012.
SMALL_ZIP3 = frozenset(
    (
        *("036", "059", "063", "102", "203", "556", "692", "790", "821"),
        *("823", "830", "831", "878", "879", "884", "890", "893"),
    )
)
# The American format, with or without the four digits of ZIP+4.
_ZIP = re.compile(r"\s*([0-9]{3})[0-9]{2}(?:[-\s]?[0-9]{4})?\s*")
_YEAR = re.compile(r"(?<!\d)(?:18|19|20)\d\d(?!\d)")
# What looks like a year but is not: a decade, and a time of day ("1945h", "03/04/21 1945").
_NO_YEAR = re.compile(
    r"(?<!\d)\d{4}(?:['’]?s|\s?(?:h|hrs?|hours?))\b|(?<![\d/.-])\d{1,2}([-./])\d{1,2}\1\d\d(?!\d)",
    re.IGNORECASE,
)
OLDEST = 89  # Ages up to this may stay.
MOST = 130  # A number above this is not an age.

_WORD = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d_]+|[<>≤≥+~≈]")
_NO_AGE = re.compile(r"\d+([-./])\d+\1\d+")  # three numbers: a date, or a number of something


def _number(words: str, first: int, step: int = 0) -> dict[str, float]:
    """RETURNS (dict[str, float]): Words and their numbers, from the first up."""
    return {word: float(first + i * step) for i, word in enumerate(words.split())}


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SPELLED = {
    **_number("zero one two three four five six seven eight nine ten eleven twelve", 0, 1),
    **_number("thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 13, 1),
    **_number("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10),
    # The first year of each decade. Either none of its ten ages is over 89, or all are.
    **_number("twenties thirties forties fifties sixties seventies eighties nineties", 20, 10),
    **_number("sexagenarian septuagenarian octogenarian nonagenarian", 60, 10),
    **_number("centenarian supercentenarian", 100, 10),
    **_number("newborn neonate infant baby toddler", 0),
    **_number("child teen teens teenager adolescent", 13),
}
# "Years" and the like in English, German, French, Italian, Spanish, Portuguese and Dutch.
_YEARS = _words(
    "y yr yrs year years yo yoa yof yom yearold yrold"
    " jahr jahre jahren ans année années anno anni año años ano anos jaar"
)
_PER_YEAR = {
    **_number("m mo mos mth mths month months", 12),
    **_number("w wk wks week weeks", 52),
    **_number("d day days", 365),
    **_number("h hr hrs hour hours", 8760),
}
_MULTIPLIERS = _words("decade decades score century centuries")
# Words that leave the number beside them unchanged. "Over 65" does not say that it is over 89.
_BESIDE = _words(
    "> ≥ + a above an and age aged ages at early f female gentleman half he her his in is lady late"
    " least life male man mid more o of old older or over patient pt s she than the their to was"
    " woman"
)


def identifier_of(label: str) -> str | None:
    """Get the identifier that a label stands for.

    label (str): A canonical label.
    RETURNS (str | None): A key of `IDENTIFIERS`; None for other labels (a state, a gender).
    """
    return _IDENTIFIER_OF.get(label)


def may_stay(label: str, text: str) -> bool:
    """Check whether a candidate may stay as it is: only ages that are certainly 89 or less may.

    label (str): Its canonical label.
    text (str): Its text.
    RETURNS (bool): Whether it is not an identifier.
    """
    return label == "AGE" and is_over_89(text) is False


def is_over_89(text: str) -> bool | None:
    """Check whether an age is over 89.

    text (str): The age in digits or English words: "45-year-old", "nineties", "9 months".
    RETURNS (bool | None): Whether it is; None if the text leaves it open.
    """
    items = _read_numbers(text)
    if _NO_AGE.search(text) or not any(isinstance(item, float) for item in items):
        return None
    words = [item for item in items if isinstance(item, str)]
    if _MULTIPLIERS.intersection(words):
        return None
    has_years, has_parts = bool(_YEARS.intersection(words)), bool(_PER_YEAR.keys() & words)
    ages: list[tuple[float, float]] = []  # the least and the most that each number may mean
    is_clear = {*_YEARS, *_PER_YEAR, *_BESIDE}.issuperset(words)
    for item, following in zip(items, [*items[1:], ""], strict=True):
        if isinstance(item, str):
            continue
        if isinstance(following, str) and following in _PER_YEAR:
            least = item / _PER_YEAR[following]
            if not has_years:  # else what is left of a year: "93 years 2 months"
                ages.append((least, item if len(following) == 1 else least))
        else:
            is_in_years = isinstance(following, str) and following in _YEARS
            ages.append((0.0 if has_parts and not is_in_years else item, item))
    if all(most < OLDEST + 1 for _, most in ages):
        return False
    is_over = all(least >= OLDEST + 1 and most <= MOST for least, most in ages)
    return True if is_over and is_clear else None


def _read_numbers(text: str) -> list[float | str]:
    """The words of a text in lower case, with numbers replaced by their values."""
    items: list[float | str] = []
    before = ""  # the number word before, which the next may belong to: "ninety" of "ninety-two"
    for word in _WORD.findall(re.sub(r"(?i)(?<=hundred) and ", " ", text)):
        lower = word.lower()
        value = _SPELLED.get(lower)
        last = items[-1] if items else ""
        if word[0].isdecimal():
            separator = "" if re.fullmatch(r"\d+,\d{3}", word) else "."
            items.append(float(word.replace(",", separator)))
        elif lower == "hundred":
            is_number = isinstance(last, float)
            if items and (is_number or last in ("a", "one")):
                items.pop()
            items.append(100.0 * last if isinstance(last, float) else 100.0)
        elif value is None:
            items.append("male" if word == "M" else lower)
        elif isinstance(last, float) and (
            before == "hundred" or (before.endswith("ty") and 0 < value < 10)
        ):
            items[-1] = last + value
        else:
            items.append(value)
        before = lower
    return items


def generalise(label: str, text: str, *, this_year: int) -> str | None:
    """Reduce an identifier to what Safe Harbor permits: the year of a date, the first three digits
    of an American ZIP code, an age up to 89, and "90+" for higher ages.

    label (str): Its canonical label.
    text (str): Its text.
    this_year (int): The year to count ages from. Years that reveal an age over 89 do not stay.
    RETURNS (str | None): What may stay; None if nothing may, or the text can't be parsed.
    """
    if label == "ZIP_CODE":
        zip_code = _ZIP.fullmatch(text)
        if zip_code is None:
            return None
        return f"{'000' if zip_code[1] in SMALL_ZIP3 else zip_code[1]}**"
    if label == "AGE":
        is_over = is_over_89(text)
        if is_over is None:
            return None
        return f"{OLDEST + 1}+" if is_over else text
    years = set(_YEAR.findall(text))
    if identifier_of(label) != "date" or len(years) != 1 or _NO_YEAR.search(text):
        return None
    return None if tells_old_age(label, text, this_year=this_year) else years.pop()


def tells_old_age(label: str, text: str, *, this_year: int) -> bool:
    """Check whether a date has a year that may reveal an age over 89.

    label (str): Its canonical label. A date of birth without a four-digit year may be of any year.
    text (str): The date.
    this_year (int): The year to count from.
    RETURNS (bool): Whether it does.
    """
    years = _YEAR.findall(text)
    if label == "DATE_OF_BIRTH" and not years:
        return True
    return any(this_year - int(year) > OLDEST for year in years)
