"""Texts with personal data to train the `privacy` head on: all of them made up.

Sets of synthetic questions and sentences (`deid/` in the folder of the corpora), and notes:
the templates of `privacy_notes.txt`, filled with the names and places of those sets and with
numbers and dates made here.
"""

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

from corpora import Document, Sentence, find_corpora

TEMPLATES = Path(__file__).parent / "privacy_notes.txt"
SPLITS = {"train": range(8), "dev": range(8, 9), "test": range(9, 10)}  # of ten parts
COPIES = {"train": 12, "dev": 2, "test": 2}  # how often a template is filled

# Type of each label of the sets; others (titles, ages, nationalities) are no identifiers here.
TYPES = {
    "PERSON": "PERSON",
    "NAME": "PERSON",
    "LOCATION": "LOCATION",
    "ADDRESS": "LOCATION",
    "STREET_ADDRESS": "LOCATION",
    "GPE": "LOCATION",
    "ZIP_CODE": "LOCATION",
    "GEOGRAPHIC_LOCATION": "LOCATION",
    "ORGANIZATION": "ORGANIZATION",
    "HOSPITAL": "ORGANIZATION",
    "DATE": "DATE",
    "DATE_TIME": "DATE",
    "PHONE": "PHONE",
    "PHONE_NUMBER": "PHONE",
    "FAX_NUMBER": "PHONE",
    "EMAIL": "EMAIL",
    "EMAIL_ADDRESS": "EMAIL",
    "DOMAIN_NAME": "URL",
    "ID": "ID",
    "ACCOUNT_NUMBER": "ID",
    "CERTIFICATE_LICENSE_NUMBER": "ID",
    "CREDIT_CARD": "ID",
    "HEALTH_PLAN_BENEFICIARY_NUMBER": "ID",
    "IBAN_CODE": "ID",
    "IP_ADDRESS": "ID",
    "MEDICAL_RECORD_NUMBER": "ID",
    "SOCIAL_SECURITY_NUMBER": "ID",
    "UNIQUE_IDENTIFIER": "ID",
    "US_DRIVER_LICENSE": "ID",
    "US_SSN": "ID",
}
SLOTS = {
    "PERSON": "PERSON",
    "GIVEN": "PERSON",
    "SURNAME": "PERSON",
    "ADDRESS": "LOCATION",
    "CITY": "LOCATION",
    "STATE": "LOCATION",
    "ZIP": "LOCATION",
    "COUNTRY": "LOCATION",
    "HOSPITAL": "ORGANIZATION",
    "COMPANY": "ORGANIZATION",
    "DATE": "DATE",
    "SHORTDATE": "DATE",
    "MONTHYEAR": "DATE",
    "YEAR": "DATE",
    "PHONE": "PHONE",
    "EMAIL": "EMAIL",
    "URL": "URL",
    **dict.fromkeys(("MRN", "SSN", "ACCOUNT", "PLATE", "IP", "DEVICE", "LICENSE", "PLAN"), "ID"),
}
INSTITUTION = re.compile(r"hospital|clinic|medical|cent(er|re)|health|university|institute", re.I)
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
STATES = (
    *("AL", "AZ", "CA", "CO", "CT", "FL", "GA", "IL", "MA", "MD", "MI", "MN", "NC", "NJ", "NY"),
    *("OH", "OR", "PA", "TN", "TX", "VA", "WA", "WI", "Ohio", "Texas", "California", "Oregon"),
)
SAINTS = ("Mary", "Luke", "Anne", "Vincent", "Joseph", "Clare", "Jude", "Francis", "Catherine")
STREETS = ("Street", "St.", "Avenue", "Ave", "Road", "Rd", "Lane", "Drive", "Court", "Blvd", "Way")
KINDS = ("Hospital", "Medical Center", "Clinic", "General Hospital", "Community Hospital", "Health")
SYLLABLES = (
    *("ar", "bel", "cor", "dan", "el", "fer", "gar", "hol", "in", "jor", "kel", "lan", "mor"),
    *("nor", "os", "per", "ran", "sol", "tam", "ver", "wen"),
)


def read_privacy(split: str) -> list[Sentence]:
    """Read or make the texts of a split, each as one sentence of words and punctuation.

    split (str): "train", "dev" or "test". Sentences made from one template are all in one.
    RETURNS (list[Sentence]): The texts.
    """
    documents = [document for document in _read_sets() if _in_split(document[0], split)]
    texts = [document for _, document in documents]
    texts += make_notes(split, texts)
    return [to_sentence(document, number) for number, document in enumerate(texts)]


def _read_sets() -> list[tuple[int, Document]]:
    """The sets' texts, each with the number of what it was made from."""
    found = []
    for name in ("presidio-synth-v2", "presidio-generated-large", "weatherhead-phi-queries"):
        path = find_corpora() / "deid" / f"{name}.jsonl"
        for number, line in enumerate(path.read_text(encoding="utf8").splitlines()):
            row = json.loads(line)
            entities = tuple(
                (*_strip_title(row["text"], start, end), _type_of(label, row["text"][start:end]))
                for start, end, label in row["entities"]
                if label in TYPES
            )
            # Questions without template: in runs of 50, as neighbours are alike.
            group = row.get("template_id", number // 50)
            found.append((group, Document(row["id"], row["text"], entities)))
    return found


def _in_split(group: int, split: str) -> bool:
    return group % 10 in SPLITS[split]


def _strip_title(text: str, start: int, end: int) -> tuple[int, int]:
    """One of the sets has "Dr. Lee" as a name, the others have "Lee"."""
    title = re.match(r"(Dr|Mrs?|Ms|Prof)\.? +(?=\S)", text[start:end])
    return start + (title.end() if title else 0), end


def _type_of(label: str, mention: str) -> str:
    if label == "GEOGRAPHIC_LOCATION" and INSTITUTION.search(mention):
        return "ORGANIZATION"
    return TYPES[label]


def to_sentence(document: Document, number: int) -> Sentence:
    """Cut a text into words and single other characters, as BERT's tokenizer does.

    document (Document): The text and its entities.
    number (int): Its number.
    RETURNS (Sentence): The tokens with IOB2 tags.
    """
    tokens, tags = [], []
    entities = iter(sorted(document.entities))
    entity = next(entities, None)
    for match in re.finditer(r"\w+|[^\w\s]", document.text):
        while entity and match.start() >= entity[1]:
            entity = next(entities, None)
        inside = entity is not None and match.end() > entity[0]
        begins = entity is not None and match.start() <= entity[0]
        tokens.append(match.group())
        tags.append(f"{'B' if begins else 'I'}-{entity[2]}" if entity and inside else "O")
    return Sentence(number, tuple(tokens), tuple(tags))


def make_notes(split: str, texts: Sequence[Document]) -> list[Document]:
    """Fill the templates of a split.

    split (str): The split.
    texts (Sequence[Document]): Where names, places and the like are taken from.
    RETURNS (list[Document]): The notes.
    """
    rng = random.Random(split)
    values: dict[str, list[str]] = {}
    for document in texts:
        for start, end, kind in document.entities:
            values.setdefault(kind, []).append(" ".join(document.text[start:end].split()))
    templates = TEMPLATES.read_text(encoding="utf8").split("\n---\n")
    notes = []
    for number, template in enumerate(templates):
        if not _in_split(number, split):
            continue
        for copy in range(COPIES[split] if "{" in template else 1):
            notes.append(fill(f"{number}-{copy}", template.strip(), values, rng))
    return notes


def fill(name: str, template: str, values: dict[str, list[str]], rng: random.Random) -> Document:
    """Fill one template."""
    text = ""
    entities = []
    case = rng.choice((str, str, str, str.upper, str.lower))
    for i, part in enumerate(re.split(r"\{([A-Z]+)\}", template)):
        if i % 2:
            value = case(make_value(part, values, rng))
            entities.append((len(text), len(text) + len(value), SLOTS[part]))
            text += value
        else:
            text += part
    return Document(name, text, tuple(entities))


def make_value(slot: str, values: dict[str, list[str]], rng: random.Random) -> str:
    """Make up what stands in a slot."""

    def digits(pattern: str) -> str:
        """Digits for `#`, capitals for `@`."""
        letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
        return "".join(
            str(rng.randint(0, 9)) if c == "#" else rng.choice(letters) if c == "@" else c
            for c in pattern
        )

    person = rng.choice(values["PERSON"]).split()
    surname = "".join(rng.sample(SYLLABLES, rng.randint(2, 3))).title()
    month, day, year = rng.choice(MONTHS), rng.randint(1, 28), rng.randint(1930, 2026)
    number = MONTHS.index(month) + 1
    if slot == "PERSON":
        name = " ".join(person) if len(person) > 1 else f"{person[0]} {surname}"
        first, _, rest = name.partition(" ")
        return rng.choice((name, name, name, f"{rest}, {first}", f"{first[0]}. {rest}"))
    if slot == "GIVEN":
        return person[0]
    if slot == "SURNAME":
        return rng.choice((person[-1], surname))
    if slot == "ADDRESS":
        street = rng.choice(
            (surname, rng.choice(("Oak", "Hill", "Main", "Park", "Lake", "Church")))
        )
        kind = rng.choice(STREETS)
        unit = rng.choice(
            ("", "", "", f", Apt {rng.randint(1, 99)}", f" Unit {rng.randint(1, 40)}")
        )
        return f"{rng.randint(1, 9999)} {street} {kind}{unit}"
    if slot in ("CITY", "COUNTRY"):
        places = [place for place in values["LOCATION"] if not re.search(r"\d", place)]
        return rng.choice((rng.choice(places), f"{surname}{rng.choice(('ton', 'ville', 'burg'))}"))
    if slot == "STATE":
        return rng.choice(STATES)
    if slot == "ZIP":
        return digits(rng.choice(("#####", "#####", "#####-####")))
    if slot == "HOSPITAL":
        name = rng.choice(
            (f"St. {rng.choice(SAINTS)}'s", surname, f"{surname} {rng.choice(SAINTS)}")
        )
        return f"{name} {rng.choice(KINDS)}"
    if slot == "COMPANY":
        return rng.choice((*values["ORGANIZATION"], f"{surname} Inc."))
    if slot == "DATE":
        short = month[:3]
        return rng.choice(
            (
                f"{number:02}/{day:02}/{year}",
                f"{number}/{day}/{year % 100:02}",
                f"{year}-{number:02}-{day:02}",
                f"{month} {day}, {year}",
                f"{day} {month} {year}",
                f"{short} {day}, {year}",
                f"{day}-{short}-{year}",
                f"{day:02}.{number:02}.{year}",
                f"{month} {day}{'th' if 3 < day < 21 else 'nd' if day % 10 == 2 else 'th'}, {year}",
            )
        )
    if slot == "SHORTDATE":
        return rng.choice((f"{number:02}/{day:02}", f"{number}/{day}", f"{month} {day}"))
    if slot == "MONTHYEAR":
        return rng.choice((f"{month} {year}", f"{number:02}/{year}", f"{month[:3]} {year}"))
    if slot == "YEAR":
        return str(year)
    if slot == "PHONE":
        return digits(
            rng.choice(
                ("(###) ###-####", "###-###-####", "###.###.####", "+1 ### ### ####", "ext. ####")
            )
        )
    host = f"{surname.lower()}.{rng.choice(('org', 'com', 'net', 'edu', 'example', 'local'))}"
    if slot == "EMAIL":
        user = rng.choice((person[-1].lower(), f"{person[0][0].lower()}.{surname.lower()}"))
        return f"{re.sub(r'[^a-z.]', '', user) or 'ward'}@{host}"
    if slot == "URL":
        return rng.choice((f"https://www.{host}/p/{digits('####')}", f"www.{host}", host))
    patterns = {
        "MRN": ("#######", "########", "MRN######", "@#######", "##-##-##", "#####-#"),
        "SSN": ("###-##-####", "### ## ####", "#########"),
        "ACCOUNT": ("##########", "####-####-####", "ACC#######"),
        "PLATE": ("@@@ ####", "###-@@@", "#@@@###"),
        "IP": ("10.##.###.##", "192.168.#.##", "172.16.##.#"),
        "DEVICE": ("SN-@@######", "@@##-#####-@", "#########@"),
        "LICENSE": ("@#######", "@@######", "@###-####-####"),
        "PLAN": ("@@@#########", "###-##-####-@", "W##########"),
    }
    return digits(rng.choice(patterns[slot]))
