"""Shift written dates by a number of days, each in the form in which it was written."""

import re
from datetime import date, timedelta

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS if name[:3] != "Sep")
_MONTH = rf"(?:{_MONTH}|Sep(?:t(?:ember)?)?)(?![a-z])"
_YEAR = r"(?:18|19|20)\d\d"
_DATE = re.compile(
    rf"""(?<![\d/])(?:
    (?P<iso_year>\d{{4}})(?P<s>[-./])(?P<iso_month>\d{{1,2}})(?P=s)(?P<iso_day>\d{{1,2}})
    |(?P<first>\d{{1,2}})(?P<s2>[-./])(?P<second>\d{{1,2}})(?P=s2)(?P<last>\d{{4}}|\d\d)
    |(?P<name1>{_MONTH})\.?,?\s*(?:the\s+)?(?P<day1>\d{{1,2}})(?!\d)(?P<th1>st|nd|rd|th)?
        (?:(?:,\s*|\s+)(?:of\s+)?(?:(?P<year1>{_YEAR})|['’](?P<short1>\d\d)))?
    |(?P<day2>\d{{1,2}})(?P<th2>st|nd|rd|th)?[\s-]?(?:of\s+)?(?P<name2>{_MONTH})
        (?:\.?[\s,-]*(?:(?P<year2>{_YEAR})|['’]?(?P<short2>\d\d)))?
    |(?P<name3>{_MONTH})\.?(?:,|\s|-|of|['’])*(?:(?P<year3>{_YEAR})|(?P<short3>\d\d))
    |(?P<month4>\d{{1,2}})[/-](?P<year4>{_YEAR})
    |(?P<month5>\d{{1,2}})[/-](?P<day5>\d{{1,2}})
    |(?P<year6>{_YEAR})
    )(?!\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_TIME = re.compile(
    r"T?\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?:\s?[ap]\.?m\b\.?)?(?:Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_PLAIN = re.compile(  # what may stand beside a date: days of the week and what joins
    r"(?:[\W_]|(?:(?:mon|tues|wednes|thurs|fri|satur|sun)(?:day)?|tue|wed|thur?|sat"
    r"|the|of|on|to|and|at|or|in|from|until|st|nd|rd|th|t|z|am|pm)(?![^\W_]))*",
    re.IGNORECASE,
)
_DAY_OF_MONTH, _DAY_OF_YEAR = 15, (7, 2)  # what stands for a month, for a year


def shift_dates(text: str, days: int) -> str | None:
    """Shift every date of a text. What is not said of a date (its day, its year) is not said of
    the new one; a month is taken for its middle, a year for its. Times of day stay.

    text (str): The text, e.g. "March 4th" or "03/04/21 - 03/09/21".
    days (int): How far.
    RETURNS (str | None): The text with the new dates; None if there are none, or if there are
        figures or words beside them that may tell of a day.
    """
    parts = []
    end = 0
    for match in _DATE.finditer(text):
        shifted = _shift(match, days)
        if shifted is None or not _is_plain(text[end : match.start()]):
            return None
        parts += [text[end : match.start()], shifted]
        end = match.end()
    if not parts or not _is_plain(text[end:]):
        return None
    return "".join([*parts, text[end:]])


def _is_plain(text: str) -> bool:
    """Whether nothing in a text tells of a date."""
    return bool(_PLAIN.fullmatch(_TIME.sub(" ", text)))


def _shift(match: re.Match[str], days: int) -> str | None:
    fields = {name: value for name, value in match.groupdict().items() if value is not None}
    roles = _read_roles(fields)
    values = {role: _read(role, fields[name]) for role, name in roles.items()}
    month, day = values.get("month"), values.get("day")
    if month is None:
        month, day = _DAY_OF_YEAR
    elif day is None:
        day = _DAY_OF_MONTH
    leap = (month, day) == (2, 29)
    try:
        old = date(values.get("year", 2000 if leap else 2001), month, day)
        new = old + timedelta(days)
    except (OverflowError, ValueError):
        return None
    written = match.group()
    edits = [(match.span(name), _write(role, fields[name], new)) for role, name in roles.items()]
    edits += [(match.span(n), _ordinal(new.day, fields[n])) for n in ("th1", "th2") if n in fields]
    for (start, end), value in sorted(edits, reverse=True):
        start, end = start - match.start(), end - match.start()
        written = written[:start] + value + written[end:]
    return written


def _read_roles(fields: dict[str, str]) -> dict[str, str]:
    """RETURNS (dict[str, str]): Which fields are the year, the month and the day."""
    if "first" in fields:  # the American order, unless it can't be
        is_day_first = fields["s2"] == "." or int(fields["first"]) > 12
        month, day = ("second", "first") if is_day_first else ("first", "second")
        return {"year": "last", "month": month, "day": day}
    kinds = {"iso_year": "year", "iso_month": "month", "iso_day": "day"}
    kinds |= {f"{name}{i}": name for i in range(1, 7) for name in ("year", "month", "day")}
    kinds |= {f"name{i}": "month" for i in (1, 2, 3)}
    kinds |= {f"short{i}": "year" for i in (1, 2, 3)}
    return {kinds[name]: name for name in fields if name in kinds}


def _read(role: str, field: str) -> int:
    if role == "month" and field.isalpha():
        return next(i for i, name in enumerate(MONTHS, 1) if name[:3] == field[:3].title())
    number = int(field)
    if role == "year" and len(field) == 2:  # as strptime does
        number += 1900 if number > 68 else 2000
    return number


def _write(role: str, field: str, new: date) -> str:
    if role == "month" and field.isalpha():
        name = MONTHS[new.month - 1]
        name = name if len(field) > 4 or field.lower() in ("may", "june", "july") else name[:3]
        return name.upper() if field.isupper() else name.lower() if field.islower() else name
    number = getattr(new, role)
    return str(number % 10 ** len(field) if role == "year" else number).zfill(len(field))


def _ordinal(day: int, field: str) -> str:
    suffix = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return suffix.upper() if field.isupper() else suffix
