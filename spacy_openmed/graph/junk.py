"""Texts that are no names of things: a graph has no nodes for them."""

import re

# What a quantity is measured in, alone or with its number: "mg/kg", "5 mL", "min-1". Its case
# counts: "MS" and "MG" are diseases.
_UNIT = (
    r"(?:[kmµμunpc]?(?:g|L|l|m|M|mol|Gy|Ci|Bq|Hz|Eq|s|V|Da|cal)|mmHg|mm Hg|°C|IU|U|ppm|ppb|bpm|rpm|"
    r"dl|dL|h|hr|hrs|min|sec|hours?|days?|weeks?|months?|years?|minutes?|seconds?|bw|vol|"
    r"beats?|doses?|times?)"
)
UNIT = re.compile(rf"[\d.,\s%×^+-]*{_UNIT}(?:[\s/·.-]*(?:per )?{_UNIT})*[\d\s^+-]*")
# Words that no name ends with. "A" and "as" may be more than words.
ENDS = {
    *("an", "and", "at", "between", "by", "due", "during", "for", "from", "her", "his", "in"),
    *("into", "its", "of", "on", "or", "our", "than", "that", "the", "their", "these", "this"),
    *("those", "through", "to", "which", "who", "whose", "with", "without"),
}
STARTS = ENDS - {"her", "his", "in", "at"}  # "HER 2", "in situ carcinoma", "AT 1 receptor"
# "Type II", "grade IV" without the first word; "VX" is a poison.
NUMERAL = re.compile(r"(?=.*[IV])X{0,2}(?:IX|IV|V?I{0,3})")
# What is left of "anti-inflammatory", "drug-induced". "-31T/C" is a variant.
CUT = re.compile(r"[-‐–](?=[^\W\d_]).*|.*\w[-‐–]", re.DOTALL)
# Words that are adjectives or adverbs by how they end: "fatal", "cellular", "inherited". Words that
# may be nouns are not among them ("sedative", "anxiolytic", "thiopental", "seed", "chemical").
ADJECTIVE = re.compile(
    r"[a-z-]*(?:[^\W\d_]ous|[ui]llar|[ucl]ular|atal|(?<!p)ental|cterial|rmal|somal|(?:log|in|urg)ical|"
    r"genic|pathic|topic|[ay]ptic|dromic|nomic|rgic|[eo]tonic|nuclear|(?:s?el|eff|inf|def)ective|"
    r"egative|ositive|genetic|[a-z]{3}[^\W\d_e](?<!trex)ed|(?:al|ous|ic|ive|nt|ar)ly)"
)
# Those that do not show it.
ADJECTIVES = {
    *("acute", "benign", "chronic", "malignant", "mild", "moderate", "preterm", "severe", "stable"),
    *("active", "early", "late", "new", "old", "partial", "primary", "rare", "secondary", "total"),
    *("central", "distal", "lateral", "left", "lower", "medial", "peripheral", "proximal", "right"),
    *("upper", "black", "high", "large", "long", "low", "short", "small", "white"),
}
# "Class III", "type 2": of what?
CLASS = re.compile(
    r"(?:class|grade|group|phase|stage|type)s? (?:[IVX]+|\d+)[A-Da-d]?", re.IGNORECASE
)
_LETTER = re.compile(r"[^\W\d_]")


def is_junk(text: str) -> bool:
    """Tell whether a text can't be the name of anything: it is a single letter or has none, is a
    Roman numeral, a unit, an adjective or an adverb, or is cut off ("loss of", "drug-").

    text (str): The text.
    RETURNS (bool): Whether it can't.
    """
    words = re.findall(r"[^\W_]+", text)
    if len("".join(words)) < 2 or not _LETTER.search(text):
        return True
    if any(pattern.fullmatch(text.strip()) for pattern in (UNIT, NUMERAL, CUT, ADJECTIVE, CLASS)):
        return True
    if text in ADJECTIVES:
        return True
    # Capitals are more than a word: "IN", "OR".
    return words[0].lower() in STARTS and not words[0].isupper() or words[-1] in ENDS
