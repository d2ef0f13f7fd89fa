"""Texts that do not name a thing: a graph has no nodes for them."""

import re

# Units, alone or with a number: "mg/kg", "5 mL", "min-1". Case matters: "MS" and "MG" are diseases.
_UNIT = (
    r"(?:[kmµμunpc]?(?:g|L|l|m|M|mol|Gy|Ci|Bq|Hz|Eq|s|V|Da|cal)|mmHg|mm Hg|°C|IU|U|ppm|ppb|bpm|rpm|"
    r"dl|dL|h|hr|hrs|min|sec|hours?|days?|weeks?|months?|years?|minutes?|seconds?|bw|vol|"
    r"beats?|doses?|times?)"
)
UNIT = re.compile(rf"[\d.,\s%×^+-]*{_UNIT}(?:[\s/·.-]*(?:per )?{_UNIT})*[\d\s^+-]*")
# Words that no name ends with. "A" and "as" are left out, as they may be more than words.
ENDS = {
    *("an", "and", "at", "between", "by", "due", "during", "for", "from", "her", "his", "in"),
    *("into", "its", "of", "on", "or", "our", "than", "that", "the", "their", "these", "this"),
    *("those", "through", "to", "which", "who", "whose", "with", "without"),
}
STARTS = ENDS - {"her", "his", "in", "at"}  # "HER 2", "in situ carcinoma", "AT 1 receptor"
# "Type II", "grade IV" without the first word; "VX" is a poison.
NUMERAL = re.compile(r"(?=.*[IV])X{0,2}(?:IX|IV|V?I{0,3})")
# Fragments of "anti-inflammatory", "drug-induced". "-31T/C" is a variant.
CUT = re.compile(r"[-‐–](?=[^\W\d_]).*|.*\w[-‐–]", re.DOTALL)
# Adjectives and adverbs by their endings: "fatal", "cellular", "inherited". Only in lower case:
# "Patched" may be a gene. Words that may be nouns ("sedative") are not included.
ADJECTIVE = re.compile(
    r"[a-z-]*(?:[a-z]ous|[ui]llar|[cl]ular|(?:f|neon|n|stri|pal)atal|(?<!p)ental|cterial|"
    r"(?:no|the|de)rmal|somal|(?:log|in|urg)ical|[ntg]eal|itial|milial|eletal|ernal|titive|"
    r"genic|pathic|topic|naptic|dromic|nomic|rgic|[eo]tonic|nuclear|(?:s?el|eff|inf|def)ective|egative|ositive|genetic|[a-z]{3}[a-df-z]ed|"
    r"[a-z]{2}(?:al|ous|ic|ive|nt|ar)ly)"
)
# Adjectives without such an ending.
ADJECTIVES = {
    *("acute", "benign", "chronic", "malignant", "mild", "moderate", "severe", "stable"),
    *("active", "early", "late", "partial", "primary", "rare", "secondary", "total"),
    *("central", "distal", "lateral", "left", "lower", "medial", "peripheral", "proximal", "right"),
    *("upper", "high", "large", "long", "low", "short", "small"),
}
# Names of genes, drugs, substances and diseases that end like adjectives.
NOUNS = re.compile(
    r"patched|smoothened|frizzled|dishevell?ed|dachsous|scabrous|paired|forked|singed|engrailed|.*(?:fed|med|pred|"
    r"trexed)|ferrous|nitrous|.*phosphorous|donnatal|trental|depressed|paralyzed|paralysed|quadruped"
)
# Adjectives that give the value of the word before them.
VALUE = re.compile(r".*(?:egative|ositive)")
_LETTER = re.compile(r"[^\W\d_]")


def is_junk(text: str) -> bool:
    """Check whether a text is unlikely to name anything: it has at most one letter, is a Roman
    numeral, a unit, an adjective or an adverb, or is cut off ("loss of", "drug-", "abnormal
    ocular").

    text (str): The text.
    RETURNS (bool): Whether it is unlikely to be a name.
    """
    text = text.strip()
    words = re.findall(r"[^\W_]+", text)
    if len("".join(words)) < 2 or not _LETTER.search(text):
        return True
    if any(pattern.fullmatch(text) for pattern in (UNIT, NUMERAL, CUT)):
        return True
    # A phrase may lack its noun, too: "abnormal ocular". "Triple negative" does not.
    last = text.rpartition(" ")[2]
    is_adjective = ADJECTIVE.fullmatch(last) and not NOUNS.fullmatch(last)
    if text in ADJECTIVES or (is_adjective and (last == text or not VALUE.fullmatch(last))):
        return True
    # Capitals are more than a word: "IN", "OR".
    return words[0].lower() in STARTS and not words[0].isupper() or words[-1] in ENDS
