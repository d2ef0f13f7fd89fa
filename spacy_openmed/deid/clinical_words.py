"""Medical words that a model mistakes for names and places, and checks of its candidates."""

import re
from collections.abc import Collection
from functools import cache
from typing import NamedTuple

from ..paths import DATA_PATH

PATH = DATA_PATH / "clinical_words.txt"
_WORD = re.compile(r"[^\W\d_]+")
TITLE = re.compile(
    r"(?:\b(?:dr|mrs?|ms|miss|prof|doctor|rev|sgt|capt|sir|dame|(?-i:Father|Sister|Nurse))\b\.?"
    r"|\b(?-i:RN|NP|PA|CNA|LPN|PT|OT)|\b(?:tech|atty|attorney|chaplain))[ \t]+\Z",
    re.IGNORECASE,
)
# An initial before or after a name. L and R without a full stop are sides of the body.
_INITIAL = re.compile(r"[ \t]+(?:[^\W\d_]\.|[A-KM-QS-Z](?=[,;.)]))(?![\w'’])")
_FIRST_INITIAL = re.compile(r"[^\W\d_]\.")
LINE = 60  # characters to look at before a candidate
# What comes before and after a person's name.
_BEFORE = re.compile(
    r"\b(?:by|per|with|w/|d/w|from|to|saw|told|called|paged|informed|notified|mother|mom|mum|father"
    r"|dad|wife|husband|partner|sons?|daughters?|brothers?|sisters?|aunt|uncle|cousin|niece|nephew|friend"
    r"|neighbou?r|dtr|sib|patient|pt|name|named)[ \t,:]+\Z",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"(?:['’]s)?,?[ \t]+(?:was|is|has|had|denie[sd]|report(?:s|ed)|state[sd]|sa(?:ys|id)|called"
    r"|came|agree[sd]|ask(?:s|ed)|will|who|would|saw|feels?|felt|went|lives|M\.?D|D\.?O|R\.?N|N\.?P|PA-C)\b"
)
_PLACE_BEFORE = re.compile(
    r"(?:\b(?:in|at|from|near|of|to|outside|lives|visiting)|@)\s+(?:(?:our|the|their)\s+)?\Z",
    re.IGNORECASE,
)
# What follows a place name that is part of a scale, a test or a device.
_BEHIND_PLACE = re.compile(
    r"[ \t]+(?:[IVX]+\b|[A-Z]\d|neg|pos|virus|brace|collar|score|scale|class|grade|criteria|test"
    r"|protocol|tube|agent|fever|disease|stool|rule|coma|cognitive|guidelines)"
)
# What follows an eponym or a drug.
_BEHIND_TERM = re.compile(
    r"(?:['’]s)?[ \t]*[:/]?[ \t]*(?:(?-i:[IVX]+\b|[A-Z]\d|XR|XL|SR|ER|CR|LA|HCT|PO|IV|IM|SC)"
    r"|\d+(?:\.\d+)?[ \t]?(?:mg|mcg|µg|g|ml|units?|%|tabs?|puffs?|fr|french|gauge|mm|cm|cc"
    r"|/\d+(?![/\d]))"
    r"|(?:neg|pos|virus|brace|collar|score|scale|class|grade|criteria|test|protocol|tube|agent|fever"
    r"|disease|syndrome|stool|rule|coma|cognitive|guidelines|sign|reflex|palsy|cyst|node|gland|duct"
    r"|tumou?r|sarcoma|lymphoma|carcinoma|dystrophy|anaemia|anemia|neuroma|tenosynovitis|thyroiditis"
    r"|encephalopathy|esophagus|oesophagus|diverticul|ulcer|tear|fracture|contracture|deformity|nodule"
    r"|phenomenon|triad|murmur|pulse|gait|position|manoeuvre|maneuver|procedure|operation|repair"
    r"|incision|approach|technique|stain|culture|agar|cells?|bod(?:y|ies)|crystals?|forceps|clamp"
    r"|retractor|scissors|needle|catheter|drain|stent|valve|balloon|pump|monitor|lift|bed|chair|boot"
    r"|cast|splint|dressing|bandage|pads?|frame|prosthesis|implant|nail|screws?|plate|wire|cannula"
    r"|line|port|solution|lotion|cream|gel|drops|inhaler|tablets?|capsules?|patch|injection|vaccine"
    r"|dose|daily|nightly|weekly|prn|bid|tid|qid|qd|qhs|once|twice|absent|present|intact|normal"
    r"|equivocal|deferred|not[ \t]+(?:done|tested|available)|inventory|index|method"
    r"|depression|mania|anxiety|balance|suicide|muscular|n(?:a)?evus|hernia|granuloma|membrane))",
    re.IGNORECASE,
)
# What follows an eponym.
_ONLY_BEHIND_TERM = re.compile(
    r"(?:['’]s)?[ \t]+(?:disease|syndrome|sign|reflex|palsy|cyst|lymphoma|sarcoma|neuroma|nodes?"
    r"|contracture|tenosynovitis|thyroiditis|forceps|clamp|retractor|scissors|catheter|drain|stent|cannula|needle"
    r"|trocar|suture|cells?|bodies|classification)\b"
)
_OF_AGE = re.compile(r"[ \t-]?(?:y\.?/?o\b|yrs?\b|years?\b|(?-i:[MF])\b|(?:fe)?male\b)", re.I)
_JOINED = re.compile(r"(?:[-–][^\W\d_]+)+")  # the rest of a double name
# What comes before a drug, a sign or an operation.
_BEFORE_TERM = re.compile(
    r"\b(?:takes?|taking|avoid|(?:re)?start(?:ed|ing)?|continue[ds]?|resume[ds]?|prescribed"
    r"|dose[ \t]+of|trial[ \t]+of|allerg(?:y|ic|ies)[ \t]+to|meds|medications|exam|allergies|rx"
    r"|imaging|neuro|modified|bilateral|grade|stage|type)[ \t]*:?[ \t]+\Z",
    re.IGNORECASE,
)
_EVERYDAY = re.compile(  # in a list with persons
    r"(?i)\w+day|january|february|march|april|june|july|august|\w+ember|october|(?:grand)?(?:mother|father"
    r"|son|daughter)|sister|brother|uncle|cousin|niece|nephew|friend|nurse|doctor|family|there|then"
)
_JOINT = re.compile(r"[ \t]*(?:[,/&;→+]|\b(?:and|or)\b)[ \t]*")  # between two of a list
# What hardly occurs outside clinical notes. State abbreviations are not included.
_CLINICAL = re.compile(
    r"\b(?:(?-i:BP|HR|RR|SpO2|MRI|ECG|EKG|CXR|BID|TID|QID|PRN|ICU|NPO|PMH|PSH|HPI|HTN|DM2?|T2DM|CKD|CHF"
    r"|CAD|COPD|DVT|GERD|UTI|TIA|CVA|AFib|WBC|Hgb|Hb|CBC|BMP|BMI|NAD|ROM|LLE|RLE|LUE|RUE|SOB|DNR|NKDA|GCS"
    r"|RN|MRN|DOB)"
    r"|\d+(?:\.\d+)?[ \t]?(?:mg|mcg|µg|ml|mmol|mmhg|bpm|cc|mm)"
    r"|pts?|y/?o|hx|dx|tx|rx|sx|fx|ppx|s/p|c/o|h/o|f/u|r/o|bilat|prn|bid|tid|qd|qhs"
    r"|patients?|diagnos\w+|prognosis|symptom\w*|syndrome|diseases?|disorder|allerg(?:y|ies|ic)|afebrile"
    r"|febrile|fevers?|pain|nausea|vomiting|cough|dyspn\w+|edema|oedema|chronic|acute|bilateral|lesions?"
    r"|infections?|sepsis|cancer|carcinoma|metasta\w+|benign|malignant|tumou?rs?|diabet\w+|hyperten\w+"
    r"|asthma|seizures?|strokes?|fractures?|wounds?|ulcers?|abscess|rash|lungs?|cardiac|renal|hepatic"
    r"|abdom\w+|thora\w+|pelvi\w+|spine|cervical|lumbar|artery|vein|biops\w+|antibiotics?|insulin|chemo\w*"
    r"|surg(?:ery|eon|ical)|anesth\w+|anaesth\w+|catheter|intubat\w+|ventilat\w+|dialysis|transfus\w+"
    r"|transplant\w*|vitals|labs|meds|medications?|doses?|tablets?|capsules?|inhaler|prescri\w+|nurse"
    r"|discharged?|admi(?:tted|ssion)|exam|palpat\w+|auscultat\w+|reflex\w*"
    r"|\w{3,}(?:itis|osis|[ae]mia|ectomy|otomy|ostomy|opathy|oplasty|oscopy|algia|uria|plegia|paresis"
    r"|cillin|mycin|statin|sartan|pril|olol|azole|azepam|idone|parin))\b",
    re.IGNORECASE,
)
_SHIFT = re.compile(r"\W*(?:[01]\d|2[0-4])[0-5]\d[ \t]*[-–][ \t]*(?:[01]\d|2[0-4])[0-5]\dh?\W*")
_CALL = re.compile(  # what is timed on an ambulance's sheet
    r"(?i)\b(?:rec['’]?d|received|dispatched|en route|on scene|at scene|arriv(?:ed|al)"
    r"|depart(?:ed|ure)|cleared|clear|time|at|from|until|till)[ \t:]+\Z"
)
_MEASURE = re.compile(r"(?i)\W*\d+(?:\.\d+)?[ \t]?(?:g|gms?|kg|mg|mcg|ml|cc|cm|mm|lbs?|oz)\W*")
_CODE = re.compile(r"[A-TV-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}")  # of ICD-10-CM
NEAR = 200  # characters on either side that are looked at
_OFFICE = re.compile(
    r"[ \t]+(?:office|branch|clinic|campus|location|area|region|hospital|facility)\b"
)
_SIDE = re.compile(r"[LRB][ \t][A-Z]{2,5}")  # "L TKR"
_STATE = re.compile(
    r"(?:new|north|south|east|west|los|las|san|santa|saint|st|el|mt|fort)\b", re.IGNORECASE
)
_ORGANISATION = re.compile(
    r"\b(?:hosp(?:ital)?|infirmary|clinic|cent(?:er|re)|ctr|associates|group|practice|school|academy|college"
    r"|university|church|home|house|lodge|manor|court|foundation|trust|institute|pharmacy|works"
    r"|company|inc|llc|ltd|county|city|street|road|avenue|primary|nursery|daycare|surgery"
    r"|health\Z|general\Z)\b",
    re.IGNORECASE,
)
# Services that every hospital has.
_SERVICE = re.compile(
    r"(?:mental|public|home|behaviou?ral|occupational|women['’]s|community|oral|bone|sexual|child)"
    r"[ \t]+health|.*(?:ology|iatrics|therapy|surgery|medicine|nursing|rehab\w*|ward|unit|team"
    r"|department|services?)",
    re.IGNORECASE | re.DOTALL,
)


class ClinicalWords(NamedTuple):
    """The allow-list, in lower case.

    plain (frozenset[str]): Words that are never names.
    eponyms (frozenset[str]): Words that mostly name a disease, a sign, a drug or a device.
    names (frozenset[str]): Words that are names just as often ("hope", "summer").
    places (frozenset[str]): The eponyms that are places.
    phrases (re.Pattern[str]): Phrases.
    """

    plain: frozenset[str]
    eponyms: frozenset[str]
    names: frozenset[str]
    places: frozenset[str]
    phrases: re.Pattern[str]


@cache
def read_words() -> ClinicalWords:
    """RETURNS (ClinicalWords): The allow-list, read at first use."""
    lines: dict[str, list[str]] = {"": [], "+": [], "?": [], "@": [], "=": [], "#": []}
    for line in PATH.read_text(encoding="utf8").splitlines():
        mark = line[0] if line[0] in lines else ""
        lines[mark].append(line[len(mark) :])
    phrases = "|".join(re.escape(phrase) for phrase in reversed(lines["="]))
    return ClinicalWords(
        frozenset(lines[""]),
        frozenset(lines["+"] + lines["@"]),
        frozenset(lines["?"]),
        frozenset(lines["@"]),
        re.compile(rf"\b(?:{phrases})\b", re.IGNORECASE),
    )


def all_plain(text: str) -> bool:
    """RETURNS (bool): Whether a text has words, and none of them belongs to a name."""
    plain = read_words().plain
    words = [word.lower() for word in _WORD.findall(text) if len(word) > 1]
    return bool(words) and all(word in plain for word in words)


def all_known(text: str) -> bool:
    """RETURNS (bool): Whether all words of a text are on the allow-list, also as names."""
    return all(_is_known(word.lower()) for word in _WORD.findall(text) if len(word) > 1)


def _is_known(word: str) -> bool:
    return any(word in words for words in read_words()[:3])


def writes_capitals(text: str) -> bool:
    """RETURNS (bool): Whether a text uses capitals, so that its names are capitalised."""
    words = _WORD.findall(text)
    return sum(word[0].isupper() for word in words) * 12 > len(words)


def trim_name(text: str, start: int, end: int) -> tuple[int, int]:
    """Trim ordinary words off a name: those in another sentence, case or line.

    text (str): The text.
    start, end (int): Character offsets of what a model takes for a name.
    RETURNS (tuple[int, int]): The trimmed offsets.
    """
    plain = read_words().plain
    words = [*_WORD.finditer(text, start, end)]

    def goes(i: int, neighbour: int) -> bool:
        word, other = words[i], words[neighbour]
        gap = text[min(word.end(), other.end()) : max(word.start(), other.start())]
        differs = word[0].islower() or (
            len(word[0]) > 1 and word[0].isupper() and not other[0].isupper()
        )
        return word[0].lower() in plain and (differs or bool(re.search(r"[^ \t'’-]", gap)))

    while len(words) > 1 and goes(-1, -2):
        words.pop()
    while len(words) > 1 and goes(0, 1):
        words.pop(0)
    if not words:
        return start, end
    is_whole = not _WORD.search(text, words[-1].end(), end)
    new_start = start if not _WORD.search(text, start, words[0].start()) else words[0].start()
    return new_start, end if is_whole else words[-1].end()


def is_in_phrase(text: str, start: int, end: int) -> bool:
    """RETURNS (bool): Whether characters are part of a phrase in the allow-list."""
    shift = max(start - 30, 0)
    near = text[shift : end + 40]
    return any(
        shift + match.start() <= start and end <= shift + match.end()
        for match in read_words().phrases.finditer(near)
    )


def names_disease(text: str, end: int) -> bool:
    """RETURNS (bool): Whether the words after a name show that it is a disease, a sign or a
    device."""
    return _ONLY_BEHIND_TERM.match(text, end) is not None


def may_be_name(text: str, start: int, end: int, names: Collection[str] = ()) -> bool:
    """Check whether what a model takes for a person may be one.

    text (str): The text.
    start, end (int): Its character offsets.
    names (Collection[str]): Words that certainly belong to names in this text, in lower case.
    RETURNS (bool): False if it is a medical term or an everyday word.
    """
    if is_in_phrase(text, start, end):
        return False
    plain, eponyms, *_ = read_words()
    found = text[start:end]
    words = [word for word in _WORD.findall(found) if len(word) > 1]
    lower = [word.lower() for word in words]
    if len(words) == 1 and re.fullmatch(r"q[A-Z][a-z]+|[A-Z]{2,5}\d{1,2}[A-Za-z]?", found.strip()):
        return False  # "qSun", "BRCA1"
    if not words:  # "S." of "S. creat"
        return found.strip(" .").isalpha() and not re.match(r"[. \t]*[a-z]", text[end : end + 4])
    before = text[max(start - 30, 0) : start].rpartition("\n")[2]
    if TITLE.search(before + found[: found.rindex(words[-1])]):
        return True
    if len(words) == 1 and lower[0] in read_words().places:  # "seen at Stanford"
        return may_be_place(text, start, end)
    if all(word in plain for word in lower):
        return False
    joined = _JOINED.match(text, end)  # "Reed-Sternberg cells", "Parkinson disease"
    if not re.search(r"\s", found) and _ONLY_BEHIND_TERM.match(
        text, joined.end() if joined else end
    ):
        return False
    if len(words) == 1 and lower[0] not in names and not _BEHIND.match(text, end):
        if found.islower() and writes_capitals(text) and not _BEFORE.search(before):
            return False
        line = text[text.rfind("\n", 0, start) + 1 : end + 40].partition("\n")[0]
        if found.isupper() and len(words[0]) < 5 and not line.isupper():
            return False
    if not all(word in plain or word in eponyms for word in lower):
        return True
    if any(word in names for word in lower):
        return True
    is_one = len(words) == 1 or not re.search(r"\s", found.strip())
    if not is_one and not any(word in plain for word in lower):
        return True  # "Frank Miller"
    if _FIRST_INITIAL.match(found) or _INITIAL.search(found) or _INITIAL.match(text, end):
        return True  # "Thomas R."
    if _BEFORE.search(before) or _BEHIND.match(text, end):
        return True
    return not (stands_as_term(text, start, end) or reads_clinical(text, start, end))


def stands_as_term(text: str, start: int, end: int) -> bool:
    """Check whether a word is in a position typical of medical terms.

    text (str): The text.
    start, end (int): Character offsets of the word.
    RETURNS (bool): Whether the context is medical: a dose, a result, the word for a disease or a
        device, or another term in a list.
    """
    if _BEHIND_TERM.match(text, end) or _BEFORE_TERM.search(text[max(start - 30, 0) : start]):
        return True
    joint = _JOINT.match(text, end)
    after = _WORD.match(text, joint.end()) if joint else None
    if after and _is_known(after[0].lower()) and _BEHIND_TERM.match(text, after.end()):
        return True  # "Barlow and Ortolani negative"
    before = re.search(rf"([^\W\d_]+){_JOINT.pattern}\Z", text[max(start - 40, 0) : start])
    plain = read_words().plain
    neighbours = [after[0] if after else "", before[1] if before else ""]
    return any(
        len(w) > 4 and w.istitle() and w.lower() in plain and not _EVERYDAY.fullmatch(w)
        for w in neighbours
    )


def reads_clinical(text: str, start: int, end: int) -> bool:
    """Check whether the context reads like a clinical note.

    text (str): The text.
    start, end (int): Character offsets of the middle.
    RETURNS (bool): Whether two nearby words or abbreviations are medical.
    """
    near = f"{text[max(start - NEAR, 0) : start]} {text[end : end + NEAR]}"
    return len({match[0].lower() for match in _CLINICAL.finditer(near)}) > 1


def may_be_place(text: str, start: int, end: int) -> bool:
    """Check whether what a model takes for a place or an organisation may be one.

    text (str): The text.
    start, end (int): Its character offsets.
    RETURNS (bool): False if it is a medical term or an everyday word.
    """
    found = text[start:end]
    if is_in_phrase(text, start, end) or _SIDE.fullmatch(found.strip()):
        return False
    plain, eponyms, *_ = read_words()
    lower = [word.lower() for word in _WORD.findall(found) if len(word) > 1]
    after = text[end : end + 20]
    if re.fullmatch(r"\W*\d{1,2}\W*", found) and _OF_AGE.match(after):
        return False
    if not lower:  # a dose, unless it is a house number or a postal code
        is_number = re.fullmatch(r"\W*\d{1,4}(?:[./-]\d{1,4}){0,2}\W*", found)
        street = re.match(r"\s+(p\.o\.|[^\W\d_]+)", after)
        is_house = street and (street[1][0].isupper() or street[1].lower() not in plain)
        return not is_number or bool(is_house) or _is_postal_code(text, start, end)
    if re.search(r"\d{3}|\A\W*\d+\W+[^\W\d]", found) or re.match(r"\W*\d{5}\b", after):
        return True  # an address, or a state before a ZIP code
    if not all(word in plain or word in eponyms for word in lower):
        return True
    kind = _ORGANISATION.search(found)
    is_plain = all(word in plain for word in lower)
    is_service = is_plain and (kind is None or kind[0].islower() or _SERVICE.fullmatch(found))
    if len(lower) > 1 and kind and not is_service:  # "HF clinic"
        return True
    before = text[max(start - 20, 0) : start]
    has_form = found[0].isupper() or not writes_capitals(text)
    is_term = stands_as_term(text, start, end)
    if is_plain and (len(lower) == 1 or _SERVICE.fullmatch(found)):
        return False
    if is_plain and _STATE.match(found) and _PLACE_BEFORE.search(before):
        return found.istitle()  # "Los Angeles"
    if is_plain:  # "State Farm Insurance"
        return has_form and not is_term and not reads_clinical(text, start, end)
    if len(lower) > 1 and not any(word in plain for word in lower):
        return True
    places = read_words().places
    if all(word in plain or word in places for word in lower):  # "Chicago", "South Korea"
        return not _BEHIND_PLACE.match(after) and not re.search(r"\d", found)
    if _PLACE_BEFORE.search(before) or _OFFICE.match(after):
        return True
    return has_form and not is_term and not reads_clinical(text, start, end)


def _is_postal_code(text: str, start: int, end: int) -> bool:
    """Whether digits are a postal code: after the word for it, or after a town."""
    before = text[max(start - LINE, 0) : start]
    if re.search(r"(?i)\b(?:zip|postal|post)[ \t]*(?:code)?(?:[ \t]+is)?[ \t]*:?\s*\Z", before):
        return True
    town = re.search(r"([^\W\d_]+)[ \t]+\Z", before)
    if (
        town is None
        or end - start < 4
        or re.match(r"[ \t]*(?:mg|mcg|ml|units?|%)", text[end : end + 8])
    ):
        return False
    return town[1][0].isupper() and not _is_known(town[1].lower())


def may_be_number(text: str, start: int, end: int) -> bool:
    """Check whether what a model takes for an identifying number may be one.

    text (str): The text.
    start, end (int): Its character offsets.
    RETURNS (bool): False for a result ("FCP 1860"), a strength ("PEG 3350"), a measure ("3640g")
        or a time of day.
    """
    found = text[start:end]
    numbers = re.findall(r"\d+", found)
    before = text[max(start - 12, 0) : start]
    words = [word.lower() for word in _WORD.findall(found) if len(word) > 1]
    if words and max(map(len, numbers), default=0) <= 4 and all(map(_is_known, words)):
        return False
    if (
        _CODE.fullmatch(found.strip())
        or is_taper(found)
        or re.search(r"(?i)\b(?:rm|room|bed|ward|bay|unit|floor|level)[ \t]+\Z", before)
    ):
        return False
    if not numbers:
        return True
    if re.fullmatch(r"\W*\d{1,3}(?:\.\d+)?\W*", found):
        return False
    if re.fullmatch(r"[\d.]{1,4}(?:[ \t]{2,}[\d.]{1,4})+", found.strip()):  # of a table
        return False
    if _SHIFT.fullmatch(found) or _MEASURE.fullmatch(found):
        return False
    before = before[-3:]
    is_time = re.fullmatch(r"\W*(?:[01]\d|2[0-3])[0-5]\d\W*", found)
    stands_free = not before.strip(" \t") or before.endswith("\n") or "@" in before
    return not (is_time and (stands_free or _CALL.search(text, max(start - LINE, 0), start)))


def is_taper(found: str) -> bool:
    """RETURNS (bool): Whether hyphens join falling or rising doses: 40-30-20-10."""
    if not re.fullmatch(r"\d{1,3}(?:-\d{1,3}){2,}", found):
        return False
    steps = [int(number) for number in found.split("-")]
    if max(steps) > 20 and any(step % 5 for step in steps):  # an identifying number
        return False
    return steps in (sorted(set(steps)), sorted(set(steps), reverse=True))
