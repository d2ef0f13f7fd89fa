"""Count the notes corpus, and compare its words with those of real notes."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, quantiles
from typing import TYPE_CHECKING, Any

from notes_identifiers import PLACEHOLDER

if TYPE_CHECKING:
    from notes_corpus import Note

FREQUENT = 1000
SHORTHAND = re.compile(
    r"(?i)\b(?:[a-z]{1,4}/[a-z]{1,4}(?:/[a-z]{1,4})*|c/o|h/o|s/p|w/|w/o|b/l|y/?o|pt|pts|hx|dx|rx|tx|sx|fx|"
    r"abd|abx|admin|amb|appt|approx|bilat|cont|d/c|dc'?d|ext|f/u|freq|fam|gen|hosp|inj|incr|lab|lap|"
    r"lt|rt|max|mod|neg|neuro|nml|nl|occ|onc|pos|post-?op|pre-?op|prev|prob|psych|resp|rehab|sat|sats|"
    r"sec|surg|susp|temp|ther|vol|wk|wks|yr|yrs|mo|mos)\b"
)
CAPITALS = re.compile(r"\b(?=[A-Z0-9/]*[A-Z])(?=[A-Z0-9/]*[A-Z0-9/][A-Z])[A-Z][A-Z0-9]{1,6}\b")
MIXED = re.compile(r"\b[A-Z]{1,3}[a-z]{1,2}[A-Z][A-Za-z0-9]{0,3}\b|\b[A-Z][a-z]?[A-Z]{1,4}s\b")
HEADING = re.compile(
    r"^\s*([A-Za-z][A-Za-z0-9 /&()'-]{1,48}?)\s*:(?=\s|$)|^\s*([A-Z][A-Z /&()'-]{2,48})\s*$", re.M
)


def count(notes: Sequence["Note"]) -> dict[str, Any]:
    """Count notes.

    notes (Sequence[Note]): The notes.
    RETURNS (dict[str, Any]): The counts, of plain values.
    """
    from notes_corpus import annotate

    types: dict[str, Counter[str]] = {}
    assertions: Counter[str] = Counter()
    identifiers: Counter[str] = Counter()
    brands: Counter[str] = Counter()
    codes: set[str] = set()
    headings: Counter[str] = Counter()
    short: Counter[str] = Counter()
    lengths = []
    for note in notes:
        text = annotate(note)
        lengths.append(len(text.text.split()))
        own = types.setdefault(note.split, Counter())
        for span in text.entities:
            own[span.label] += 1
            if span.assertion:
                assertions[f"{span.label} {span.assertion}"] += 1
            if span.code:
                own["ICD-10-CM"] += 1
                codes.add(span.code)
            if span.is_brand:
                brands[text.text[span.start : span.end].lower()] += 1
        for span in text.identifiers:
            identifiers[span.label] += 1
        plain = PLACEHOLDER.sub(" ", annotate(note, None).text)
        headings.update(" ".join((a or b).upper().split()) for a, b in HEADING.findall(plain))
        short.update(find_short_forms(plain))
    return {
        "notes": len(notes),
        "words": sum(lengths),
        "words a note": _spread(lengths),
        "by split": dict(Counter(note.split for note in notes)),
        "by kind": dict(Counter(note.kind for note in notes).most_common()),
        "by country": dict(Counter(note.country for note in notes).most_common()),
        "specialties": len({note.specialty for note in notes}),
        "entities": {split: dict(types[split].most_common()) for split in types},
        "assertions": dict(assertions.most_common()),
        "identifiers": dict(identifiers.most_common()),
        "different brands": len(brands),
        "different codes": len(codes),
        "different short forms": len(short),
        "different headings": len(headings),
    }


def find_short_forms(text: str) -> set[str]:
    """Find abbreviations and shorthand. In lines in capitals only the forms of `SHORTHAND` count.

    text (str): The text.
    RETURNS (set[str]): The different ones.
    """
    found: set[str] = set()
    for line in text.split("\n"):
        letters = [char for char in line if char.isalpha()]
        found.update(match[0].lower() for match in SHORTHAND.finditer(line))
        if sum(map(str.islower, letters)) > len(letters) / 3:
            found.update(CAPITALS.findall(line))
            found.update(MIXED.findall(line))
    return found


def _spread(lengths: Sequence[int]) -> dict[str, float]:
    if len(lengths) < 2:
        return {"mean": mean(lengths)} if lengths else {}
    deciles = quantiles(lengths, n=10)
    return {
        "least": min(lengths),
        "10 %": deciles[0],
        "median": deciles[4],
        "90 %": deciles[8],
        "most": max(lengths),
        "mean": round(mean(lengths), 1),
    }


def compare_words(texts: Iterable[str], others: Iterable[str], size: int) -> dict[str, float]:
    """Compare the variety of words of two sets of texts, on as many words of each.

    texts (Iterable[str]): The texts.
    others (Iterable[str]): The texts to compare with.
    size (int): How many words of each are looked at.
    RETURNS (dict[str, float]): For each set the different words in a thousand, the share of the
        1,000 most frequent words, and the share of words the other set does not have.
    """
    own, other = _words(texts)[:size], _words(others)[:size]
    result = {}
    for name, words, against in (("own", own, set(other)), ("others", other, set(own))):
        counts = Counter(words)
        frequent = sum(n for _, n in counts.most_common(FREQUENT))
        result[f"{name}: different words in 1,000"] = round(1000 * len(counts) / len(words), 1)
        result[f"{name}: share of the {FREQUENT} most frequent"] = round(frequent / len(words), 3)
        unknown = sum(n for word, n in counts.items() if word not in against)
        result[f"{name}: share of words the other lacks"] = round(unknown / len(words), 3)
    return result


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower())]


def read_plain(corpora: Path) -> list[str]:
    """RETURNS (list[str]): The texts that `notes_plain.py` wrote; none if it did not run."""
    from notes_corpus import read_rows

    path = corpora / "notes_plain" / "notes_plain.jsonl"
    return [row["text"] for row in read_rows(path)] if path.is_file() else []
