"""Make the allow-list of `openmed_phi`: medical words that are not part of a name.

    python scripts/clinical_words.py

Its sources are the training part of the notes corpus (the identifiers are placeholders there),
`mini_words.json`, the descriptions of ICD-10-CM (public domain), and `clinical_words.json`:
eponyms, devices, brands, departments and scales (our own list, CC0 like the notes corpus).
Words that are also names, according to Faker, are marked.
"""

import json
import re
from pathlib import Path

from mini_words import read_words
from notes_identifiers import LOCALES, ORIGINS, PLACEHOLDER

from notes_corpus import MARK, read_notes

LISTS = Path(__file__).with_suffix(".json")
OUTPUT = Path(__file__).parents[1] / "spacy_openmed" / "data" / "clinical_words.txt"
WORD = re.compile(r"[^\W\d_]+")
HEADER = """\
# Words that are no part of a name, made by scripts/clinical_words.py.
# + the word is also somebody's name, and mostly the name of a disease, a sign, a drug or a device
# ? the word is also somebody's name
# @ the word is also a place
# = a phrase
"""


def main() -> None:
    """Write the list."""
    lists = json.loads(LISTS.read_text(encoding="utf8"))
    words = read_words()
    terms = [name for row in words["drugs"] for name in row]
    for key in ("eponyms", "devices", "brands"):
        terms += lists[key]
    eponyms = _words(terms + lists["places"]) | _find_eponyms()
    plain = [name for row in words["problems"] for name in row]
    plain += words["drug_classes"] + words["plain_problems"]
    for key in ("departments", "tests", "common"):
        plain += lists[key]
    plain += _read_codes()
    clinical = _words(plain) | _read_corpus()
    names = _read_names() | _words(lists["places"] + lists["given_names"])
    places = _words(lists["places"]) | _read_countries()
    given = _read_given_names() - _words(lists["brands"] + lists["devices"])
    rows = []
    for word in sorted(clinical | eponyms | places):
        mark = "" if word not in names else "+" if word in eponyms - given else "?"
        mark = "@" if word in places else mark
        rows.append(f"{mark}{word}")
    rows += sorted(f"={phrase.lower()}" for phrase in lists["phrases"])
    OUTPUT.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf8")
    print(f"{len(rows)} words, {sum(r[0] == '+' for r in rows)} eponyms that are names")


def _words(texts: list[str]) -> set[str]:
    return {word.lower() for text in texts for word in WORD.findall(text)}


def _read_corpus() -> set[str]:
    """The words of the training notes; capitalised ones only from annotated spans."""
    words: set[str] = set()
    for note in read_notes(split="train"):
        markup = PLACEHOLDER.sub(" ", note.markup)
        words |= _words([inside for inside, _ in MARK.findall(markup)])
        text = MARK.sub(lambda match: match[1], markup)
        words |= {word.lower() for word in WORD.findall(text) if word.islower() or word.isupper()}
    return words


def _read_codes() -> list[str]:
    import simple_icd_10_cm as icd10cm

    return [icd10cm.get_description(code) for code in icd10cm.get_all_codes()]


def _find_eponyms() -> set[str]:
    """The capitalised words inside descriptions of ICD-10-CM."""
    inside = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?:[-–][A-Z][a-z]+)*")
    return _words([name for text in _read_codes() for name in inside.findall(text)])


def _read_countries() -> set[str]:
    from faker.providers.address.en import Provider

    return _words([name for name in Provider.countries if " " not in name])


def _read_given_names() -> set[str]:
    """Given names that are common in America: none of them is primarily an eponym."""
    from faker.providers.person.en_US import Provider

    return _words([*Provider.first_names_female, *Provider.first_names_male])


def _read_names() -> set[str]:
    """Given names and surnames from all countries that the corpus takes names from."""
    from faker import Faker

    names: set[str] = set()
    for locale in {*LOCALES.values(), *ORIGINS}:
        provider = next(p for p in Faker(locale).get_providers() if "person" in type(p).__module__)
        for attribute in dir(provider):
            if re.fullmatch(r"(?:first|last)_names?.*", attribute):
                values = getattr(provider, attribute)
                if isinstance(values, (dict, list, tuple, set)):
                    names |= _words([str(value) for value in values])
    return names


if __name__ == "__main__":
    main()
