"""Shift written dates by a number of days, and keep the format of each."""

import re
from calendar import isleap
from collections import Counter
from collections.abc import Iterable
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
    (?P<year0>{_YEAR})(?P<month0>0[1-9]|1[0-2])(?P<day0>0[1-9]|[12]\d|3[01])
        (?:(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d(?:\.\d+)?)?)?(?:[+-]\d{{4}})?
    |    (?P<iso_year>\d{{4}})(?P<s>[-./])(?P<iso_month>\d{{1,2}})(?P=s)(?P<iso_day>\d{{1,2}})
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
_PLAIN = re.compile(  # what may come beside a date: weekdays and joining words
    r"(?:[\W_]|(?:(?:mon|tues|wednes|thurs|fri|satur|sun)(?:day)?|tue|wed|thur?|sat"
    r"|the|of|on|to|and|at|or|in|from|until|st|nd|rd|th|t|z|am|pm)(?![^\W_]))*",
    re.IGNORECASE,
)
# Scores, ratios, doses and durations of two numbers look like a day and a month.
_EVERY = re.compile(r"\b(?:every|each)[ \t]+\Z", re.IGNORECASE)
_PAIR = re.compile(r"\W*(\d{1,4})([/-])(\d{1,4})\W*")
_SCORE = re.compile(
    r"\b(?:pain|allred|thermometer|score[ds]?|scale|gcs|glasgow|strength|power|headache|monofilament|apgars?|mmse|moca|mocha|vas"
    r"|nrs|amts?|ace-?iii|acuity|vision|va|pinhole|rated|rates|rating|motor|reflex(?:es)?|severity|intensity|murmur"
    r"|(?<!st )(?<!nd )(?<!rd )(?<!th )grade"  # not "first grade"
    r"|pulses?|phq|gad|braden|morse|bps|rass|slums|mini-?cog|recall|orientation|discomfort|nausea"
    r"|dyspnoea|dyspnea|borg|mrc|flacc|cage|stress|mood|energy|anxiety|fatigue|flexion|extension|grip|dips"
    r"|dtrs?|bp|uterus|ratio|cores|nodes|bottles|cuff|weakness|edinburgh|epds|sigecaps|lace|i?adls?|mitos[ei]s"
    r"|updrs|nihss|karnofsky|ecog)\b(?:[^\n.]|\.(?=\d)){0,40}\Z"
    r"|(?<!discharge )(?<!surgery )(?<!admission )(?<!visit )\bday[ \t]{1,3}\Z"
    r"|\b(?:bipap|cpap|od|os|ou|(?-i:RE|LE|ER|PR)|suboxone|zubsolv|sinemet|percocet|norco|vicodin)"
    r"[ \t:]{1,3}\Z",
    re.IGNORECASE,
)
_DATE_BEFORE = re.compile(
    r"\b(?:on|since|until|till|dated?|from|by|before|due|visit|admitted|mon|tues?|weds?|thurs?|fri|sat|sun|(?:mon|tues|wednes|thurs|fri|satur|sun)day|adm|discharged|seen|surgery"
    r"|appt|appointment|started|stopped|follow[ -]?up|f/u|fu|lmp|edd|edc|dos|doa|dod|last|next"
    r"|prior|recheck|repeat|reviewed?|r/v|rv|booked|x-?rays?|coros|angio(?:gram)?"
    r"|dc|d/c'?d?|cx|bcx|ucx|labs?|drawn|as of|as at|post[ -]?op"
    r"|clinic|ward|scan|ct|mri|cxr|echo)"
    r"[ \t]*:?[ \t(]*\Z",
    re.IGNORECASE,
)
# Four numbers, or several with a decimal point among them: never a date.
_RATIO = re.compile(r"\W*(?:\d+(?:/\d+){3,}|(?=[\d/]*\d\.\d)\d+(?:\.\d+)?(?:/\d+(?:\.\d+)?)+)\W*")
# Three scores, after the name of the scale.
_TRIPLE = re.compile(r"\W*(?:\d|10)/(?:\d|10)/(?:\d|10)\W*")
_SCALE = re.compile(r"\b(?:gcs|glasgow(?: coma (?:scale|score))?|apgars?)[ \t:=]*\Z", re.IGNORECASE)
_PRESSURE = re.compile(
    r"(?<![\d/])(?:[6-9]\d|[12]\d\d)/\d{2,3}(?:[\t ,|]+\d{1,3}(?:\.\d)?%?)*[\t ,|]+\Z"
)
_TIME_ROW = re.compile(r"^[ \t]*((?:[01]\d|2[0-3])[0-5]\d)(?:\t|[ ]{2,}|[ ]*\|)", re.MULTILINE)
_CULTURE = re.compile(r"\b(?:cx|cultures?)[ \t:]*\Z", re.IGNORECASE)
_RATED = re.compile(  # "4/10 pain", but not "4/10 pain clinic"
    r"[ \t]*(?:(?:in|on|sharp|dull|aching|burning|stabbing|chronic|\w+[ \t]+(?=pain\b))[ \t]*){0,2}"
    r"\b(?:pain|discomfort|headache|severity|intensity|at (?:rest|worst|best))\b"
    r"(?! (?:clinic|management|team|service|cent))",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"[ \t]+@?[ \t]*\d{1,2}:\d\d(?!\d)")
_BEFORE_DURATION = re.compile(
    r"(?:\b(?:for|in|after|further|next|past|over|every|within|about|approx|another|lasting|x|of)|[x~≈<>@])"
    r"[ \t]*\Z",
    re.IGNORECASE,
)
_BEHIND_DURATION = re.compile(
    r"[ \t]*(?:ago|later|old|hx|history|post|boy|girl|baby|duration|course|time|weeks|days)\b",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"[ \t]*(?:%|mg|mcg|ml|µg|g|kg|mm|cm|units?|iu|tabs?|tablets?|caps?|puffs?|drops?|mmhg|bpm"
    r"|l/min|hrs?|hours|weeks?|wks?|days?|months?|mos?|years?|yrs?|times|x|/7|/52|/12|inch|full|strength|bd|od|tds|qds|nocte|mane"
    r"|cup|liters?|litres?|lb|bid|tid|qd|qhs|daily|nightly|prn|ns\b|french|fr|gauge|percent"
    r"|systolic|diastolic|cells|bottles|vessels|breakfast|lunch|dinner|meals?|nodes?|cores?|pills?|dose)\b",
    re.IGNORECASE,
)
_BRITISH = re.compile(
    r"(?<![\d/])\d{1,2}/52(?![\d/])|\b(?:TDS|QDS|tds|qds|nocte|mane|MFFD|TTO|TTA|FY[12]|SHO|SpR)\b"
)
_WEEKDAY = r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*"
_WEEKDAYS = re.compile(rf"\W*{_WEEKDAY}(?:(?:[\s,/&]|and\b)+{_WEEKDAY})+\W*", re.IGNORECASE)
# A weekday in a list of days on which something is done: "Monday Wednesday Friday".
_DAY_NAME = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tues?|weds?|thurs?|fri|sat|sun)\b"
_DAY = re.compile(rf"\W*{_DAY_NAME}\W*", re.IGNORECASE)
_DAY_BEFORE = re.compile(
    rf"\b(?:{_DAY_NAME}(?:[\s,/&+]|and\b)+|\d[ \t]?(?:mg|mcg|units?)[ \t]+)\Z", re.IGNORECASE
)
_DAY_BEHIND = re.compile(rf"(?:[ \t,/&+]|and\b)+{_DAY_NAME}", re.IGNORECASE)
_MORE = re.compile(r"[/:]\d")  # of "22/380/12/60"
# Two days of one month: "Jan 5-9, 2020", "5-9 January 2020".
_RANGE = re.compile(
    rf"(?P<month>{_MONTH}\.?\s+)(?P<first>\d{{1,2}})(?P<sign>\s*[-–]\s*)"
    rf"(?P<last>\d{{1,2}})(?![\d/])(?P<year>,?\s+{_YEAR})?",
    re.IGNORECASE,
)
_RANGE_2 = re.compile(
    rf"(?<![\d/])(?P<first>\d{{1,2}})(?P<sign>\s*[-–]\s*)(?P<last>\d{{1,2}})"
    rf"(?P<month>\s+{_MONTH}\.?(?:,?\s+{_YEAR})?)",
    re.IGNORECASE,
)
_LINE = 80  # characters of the line to look at before a date
_TABLE = 500  # and of a table around it
_DAY_OF_MONTH, _DAY_OF_YEAR = 15, (7, 2)  # the day that stands for a month, for a year


def find_year(dates: Iterable[str]) -> int | None:
    """Find the most likely year of dates that do not give one.

    dates (Iterable[str]): The dates of a document, as written.
    RETURNS (int | None): The most frequent year of the others, the latest on a tie; None if no
        date gives its year.
    """
    years: Counter[int] = Counter()
    for text in dates:
        for match in _DATE.finditer(text):
            fields = {name: value for name, value in match.groupdict().items() if value is not None}
            roles = _read_roles(fields)
            if {"year", "month"} <= roles.keys():
                years[_read("year", fields[roles["year"]])] += 1
    return max(years, key=lambda year: (years[year], year), default=None)


def shift_dates(text: str, days: int, year: int | None = None) -> str | None:
    """Shift every date in a text. A part that a date lacks (its day, its year) is missing from the
    new one too. A month counts as its middle day, and so does a year. Times of day stay.

    text (str): The text, e.g. "March 4th" or "03/04/21 - 03/09/21".
    days (int): How far to shift.
    year (int | None): The year to assume for dates without one. It decides whether a 29 February
        lies between the old day and the new one. None: assume there is none.
    RETURNS (str | None): The text with the new dates; None if it has no dates, or if digits or
        words beside them may reveal a day.
    """
    text = _RANGE.sub(
        _write_out, _RANGE_2.sub(r"\g<first>\g<month>\g<sign>\g<last>\g<month>", text)
    )
    parts = []
    end = 0
    for match in _DATE.finditer(text):
        shifted = _shift(match, days, year)
        if shifted is None or not _is_plain(text[end : match.start()]):
            return None
        parts += [text[end : match.start()], shifted]
        end = match.end()
    if not parts or not _is_plain(text[end:]):
        return None
    return "".join([*parts, text[end:]])


def may_be_date(text: str, start: int, end: int, *, writes_weeks: bool = False) -> bool:
    """Check whether something that looks like a date without a year may be one.

    text (str): The text.
    start, end (int): Its character offsets.
    writes_weeks (bool): Whether the text writes "2/52" for two weeks, see `has_british_durations`.
    RETURNS (bool): False for a score, a ratio, a dose, a duration, a time or a result.
    """
    found = text[start:end]
    if number := re.fullmatch(r"\W*(\d+)\W*", found):
        return _may_be_day(number[1], text, start, end)
    if _DAY.fullmatch(found) and (
        _DAY_BEFORE.search(text, max(start - 20, 0), start) or _DAY_BEHIND.match(text, end)
    ):
        return False
    if _WEEKDAYS.fullmatch(found) or _EVERY.search(text, max(start - _LINE, 0), start):
        return False
    pair = _PAIR.fullmatch(found)
    if pair is None:
        if _RATIO.fullmatch(found):
            return False
        # "GCS 4/5/6" has the format of a day, a month and a year.
        return not (_TRIPLE.fullmatch(found) and _SCALE.search(text, max(start - _LINE, 0), start))
    first, sign, second = int(pair[1]), pair[2], int(pair[3])
    if len(pair[1]) == 4 or len(pair[3]) == 4:  # a year, or a year and a month
        # "0700-1930" are times.
        is_year = len(pair[1]) != len(pair[3]) or min(first, second) > 1850
        return is_year and 1850 < max(first, second) < 2100 and not _UNIT.match(text, end)
    before = text[max(text.rfind("\n", 0, start) + 1, start - _LINE) : start]
    is_day = (1 <= first <= 12 and 1 <= second <= 31) or (1 <= second <= 12 and 1 <= first <= 31)
    is_month = 1 <= first <= 12 and len(pair[3]) == 2  # and a year: 11/15
    if not (is_day or is_month) or _UNIT.match(text, end) or _MORE.match(text, end):
        return False
    if re.search(r"(?:[<>=≤≥]|\d[/:])\Z", before) or before.endswith("T"):
        return False
    if sign == "-":
        return True
    # "5/10, down from 8/10", and a score of pain among the vital signs: "88/52\t132\t91\t9/10"
    if second == 10 and (re.search(r"\b(?:10|\d)/10\b", before) or _PRESSURE.search(before)):
        return False
    is_headed = not before.strip(" \t-*•#(") or text[end : end + 1] in (":", ")", "-")
    is_rated = second == 10 and first <= 10 and _RATED.match(text, end)
    if is_rated and not _DATE_BEFORE.search(before):
        return False
    if (first, second) == (24, 7) and not (is_headed or _DATE_BEFORE.search(before)):
        return False  # day and night
    if second == 52 or (
        second in (7, 12, 24)
        and (second != 7 or first <= 14 or first % 7 == 0)
        and (_BEFORE_DURATION.search(before) or _BEHIND_DURATION.match(text, end) or writes_weeks)
        and not _DATE_BEFORE.search(before)
    ):
        return False
    is_fraction = first <= second <= 6 or (first == second and second in (7, 10))
    if is_fraction and _CULTURE.search(before):  # "Blood cx 2/2", of bottles
        return False
    if _DATE_BEFORE.search(before):
        return True
    if _SCORE.search(before):
        return False
    if _CLOCK.match(text, end):  # "3/6 8:40a"
        return True
    return not is_fraction or is_headed


def _may_be_day(number: str, text: str, start: int, end: int) -> bool:
    """Whether a single number may be a date: a year, or year, month and day."""
    if len(number) in (8, 12, 14):
        return True
    if _TIME_ROW.match(text, text.rfind("\n", 0, start) + 1, end + 4):
        rows = _TIME_ROW.findall(text, max(start - _TABLE, 0), end + _TABLE)
        if any(time[:2] not in ("19", "20") for time in rows):
            return False  # a time in the first column of a table
    is_year = len(number) == 4 and 1880 < int(number) < 2100
    before = text[max(start - _LINE, 0) : start].rstrip()
    return is_year and not _UNIT.match(text, end) and not before.endswith(("@", "at"))


def has_british_durations(text: str) -> bool:
    """RETURNS (bool): Whether a text writes "2/52" for two weeks, or "5/7" for five days."""
    return _BRITISH.search(text) is not None


def _write_out(match: re.Match[str]) -> str:
    """Write both days of a range as full dates: shifting may put them in different months."""
    month, year = match["month"], match["year"] or ""
    return f"{month}{match['first']}{year}{match['sign']}{month}{match['last']}{year}"


def _is_plain(text: str) -> bool:
    """Whether nothing in a text hints at a date."""
    return bool(_PLAIN.fullmatch(_TIME.sub(" ", text)))


def _shift(match: re.Match[str], days: int, year: int | None) -> str | None:
    fields = {name: value for name, value in match.groupdict().items() if value is not None}
    roles = _read_roles(fields)
    values = {role: _read(role, fields[name]) for role, name in roles.items()}
    month, day = values.get("month"), values.get("day")
    if month is None:
        month, day = _DAY_OF_YEAR
    elif day is None:
        day = _DAY_OF_MONTH
    if year is None or ((month, day) == (2, 29) and not isleap(year)):
        year = 2000 if (month, day) == (2, 29) else 2001
    try:
        old = date(values.get("year", year), month, day)
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
    if "first" in fields:  # the American order, unless impossible
        is_day_first = fields["s2"] == "." or int(fields["first"]) > 12
        month, day = ("second", "first") if is_day_first else ("first", "second")
        return {"year": "last", "month": month, "day": day}
    kinds = {"iso_year": "year", "iso_month": "month", "iso_day": "day"}
    kinds |= {f"{name}{i}": name for i in range(7) for name in ("year", "month", "day")}
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
