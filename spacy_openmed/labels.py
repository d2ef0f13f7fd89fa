"""One vocabulary for the labels of every checkpoint, and a colour for each.

Checkpoints name the same type differently: chemicals are `CHEM` or `DRUG`, cell lines `CL`,
`Cell-line-name` or `cell_line`, diseases `DISEASE`, `Disease` or `PROBLEM`.
"""

import re
from collections.abc import Container, Iterable, Sequence
from functools import lru_cache

from .errors import Errors

# Canonical label -> its other native spellings. Case and separators do not matter.
# Two types of one checkpoint never share a row, so that no distinction is lost.
BIOMEDICAL: dict[str, tuple[str, ...]] = {
    # Chemicals and drugs
    "CHEMICAL": ("CHEM", "DRUG"),
    "SIMPLE_CHEMICAL": (),
    "AMINO_ACID": (),
    # Diseases
    "DISEASE": ("PROBLEM",),
    "CANCER": (),
    "PATHOLOGICAL_FORMATION": (),
    # What clinical notes say of treatment and tests
    "DOSE": (),
    "FORM": (),
    "ROUTE": (),
    "FREQUENCY": (),
    "DURATION": (),
    "TEST": (),
    "TEST_RESULT": (),
    "PROCEDURE": (),
    "DEVICE": (),
    # Genes and their products
    "GENE_OR_GENE_PRODUCT": ("GENE", "GENE/PROTEIN"),
    "VARIANT": ("SEQUENCE_VARIANT",),
    "DNA": (),
    "RNA": (),
    "PROTEIN": (),
    "PROTEIN_COMPLEX": (),
    "PROTEIN_ENUM": (),
    "PROTEIN_FAMILY_OR_GROUP": ("protein_familiy_or_group",),
    "PROTEIN_VARIANT": (),
    # Cells
    "CELL": (),
    "CELL_LINE": ("CL", "Cell-line-name"),
    "CELL_TYPE": (),
    "CELLULAR_COMPONENT": (),
    # Organisms
    "SPECIES": (),
    "ORGANISM": (),
    "ORGANISM_SUBDIVISION": (),
    "ORGANISM_SUBSTANCE": (),
    # Anatomy
    "ANATOMY": (),
    "ANATOMICAL_SYSTEM": (),
    "DEVELOPING_ANATOMICAL_STRUCTURE": (),
    "IMMATERIAL_ANATOMICAL_ENTITY": (),
    "MULTI_TISSUE_STRUCTURE": (),
    "ORGAN": (),
    "TISSUE": (),
}
PERSONAL: dict[str, tuple[str, ...]] = {
    # Who
    "PERSON": ("NAME", "FULL_NAME", "PATIENT"),
    "GIVEN_NAME": ("FIRST_NAME",),
    "MIDDLE_NAME": (),
    "SURNAME": ("LAST_NAME", "FAMILY_NAME"),
    "USERNAME": (),
    "AGE": (),
    "GENDER": ("SEX",),
    "DATE_OF_BIRTH": ("DOB", "BIRTH_DATE"),
    "OCCUPATION": ("PROFESSION", "JOB_TITLE"),
    "RACE_ETHNICITY": (),
    "RELIGIOUS_BELIEF": ("RELIGION",),
    "POLITICAL_VIEW": (),
    "SEXUALITY": (),
    "EDUCATION_LEVEL": (),
    "EMPLOYMENT_STATUS": (),
    "LANGUAGE": (),
    "BLOOD_TYPE": (),
    "BIOMETRIC_IDENTIFIER": ("BIOMETRIC",),
    "PHOTOGRAPH": (),
    # Where and when
    "ADDRESS": (),
    "BUILDING_NUMBER": ("BUILDING_NUM",),
    "STREET_NAME": ("STREET",),
    "STREET_ADDRESS": (),
    "SECONDARY_ADDRESS": (),
    "CITY": (),
    "COUNTY": (),
    "STATE": (),
    "ZIP_CODE": ("ZIP", "POSTCODE", "POSTAL_CODE"),
    "COUNTRY": (),
    "COORDINATE": ("GPS_COORDINATE",),
    "ORGANIZATION": ("COMPANY_NAME", "COMPANY"),
    "LOCATION": (),
    "DATE": (),
    "TIME": (),
    "DATE_TIME": (),
    # How to reach
    "EMAIL": ("EMAIL_ADDRESS",),
    "PHONE": ("PHONE_NUMBER", "TELEPHONE_NUM"),
    "FAX": ("FAX_NUMBER",),
    "URL": (),
    "IP_ADDRESS": ("IP",),
    "IPV4": (),
    "IPV6": (),
    "MAC_ADDRESS": ("MAC",),
    "HTTP_COOKIE": (),
    "DEVICE_IDENTIFIER": ("DEVICE_ID",),
    # Numbers and secrets
    "GOVERNMENT_ID": ("NATIONAL_ID", "ID_CARD", "ID_CARD_NUM"),
    "SSN": ("SOCIAL_SECURITY_NUMBER", "SOCIAL_NUM"),
    "TAX_ID": ("TAX_NUM",),
    "PASSPORT": ("PASSPORT_NUMBER",),
    "DRIVERS_LICENSE": ("DRIVER_LICENSE", "DRIVER_LICENSE_NUM"),
    "CERTIFICATE_LICENSE_NUMBER": (),
    "MEDICAL_RECORD_NUMBER": ("MRN",),
    "HEALTH_PLAN_BENEFICIARY_NUMBER": (),
    "CUSTOMER_ID": (),
    "EMPLOYEE_ID": (),
    "ID": (),
    "UNIQUE_ID": ("ID_NUM",),
    "VEHICLE_IDENTIFIER": ("VEHICLE_VIN", "VIN"),
    "LICENSE_PLATE": (),
    "ACCOUNT_NUMBER": ("ACCOUNT_NUM",),
    "BANK_ACCOUNT": ("BANK_ACCOUNT_NUMBER",),
    "IBAN": (),
    "ROUTING_NUMBER": ("BANK_ROUTING_NUMBER",),
    "SWIFT_BIC": ("BIC",),
    "CREDIT_CARD": ("CREDIT_DEBIT_CARD", "CREDIT_CARD_NUMBER"),
    "CVV": ("CREDIT_CARD_CVV",),
    "PIN": (),
    "PASSWORD": (),
    "API_KEY": (),
}
LABELS = BIOMEDICAL | PERSONAL
# Labels of what is said of a drug or a test, and is no thing of its own.
DETAILS = ("DOSE", "FORM", "ROUTE", "FREQUENCY", "DURATION", "TEST_RESULT")
# Labels of which a note asserts the same as of another: it denies, suspects or remembers a cancer
# as it does any disease.
ASSERTED_AS: dict[str, str] = {
    "CANCER": "DISEASE",
    "PATHOLOGICAL_FORMATION": "DISEASE",
    "SIMPLE_CHEMICAL": "CHEMICAL",
}


def _key(label: str) -> str:
    return re.sub(r"[\W_]", "", label.upper())


_CANONICAL = {
    _key(spelling): label for label, natives in LABELS.items() for spelling in (label, *natives)
}


@lru_cache(maxsize=4096)
def canonical_label(native: str) -> str:
    """Get the canonical label of an entity type.

    native (str): The type as a checkpoint names it, without its BIO prefix.
    RETURNS (str): The canonical label. An unknown type becomes its own name in upper
        case, with `_` for whatever is neither letter nor digit.
    """
    label = _CANONICAL.get(_key(native))
    return label if label is not None else re.sub(r"[\W_]+", "_", native.upper())


def asserted_as(label: str, groups: Container[str]) -> str | None:
    """Map a label to the assertion group that covers it.

    label (str): Its label, native or canonical.
    groups (Container[str]): The canonical labels that have assertions.
    RETURNS (str | None): One of them; None if none fits.
    """
    canonical = canonical_label(label)
    kind = canonical if canonical in groups else ASSERTED_AS.get(canonical)
    return kind if kind in groups else None


# Prefixes of the tagging schemes in use (IOB2, BILOU, IOBES), by what they say.
BEGIN, CONTINUE = "BSU", "IEL"
_PREFIXED = re.compile(f"([{BEGIN}{CONTINUE}])([-_])(.+)", re.DOTALL)
_SUFFIXED = re.compile(f"(.+)([-_])([{BEGIN}{CONTINUE}])", re.DOTALL)


def split_tags(labels: Sequence[str], *, name: str = "") -> list[tuple[str, str]]:
    """Split the labels of a head into prefixes and entity types, which may hold hyphens.

    "B-CELL" may be a tag or a type, as "S-100" is: labels are tags only if all of them (but "O")
    are, and make sense together. Then they may have their prefixes at the end, as in "CELL-B".

    labels (Sequence[str]): All labels of the head.
    name (str): The checkpoint's name, for the error.
    RETURNS (list[tuple[str, str]]): Prefix and type of each: ("B", "CELL"), ("O", ""), or
        ("", "S-100") of a type without prefix.
    RAISES (ValueError): If tags and types are mixed.
    """
    _, tags = _read_style(labels, name)
    return [("O", "") if label == "O" else tags[label] for label in labels]


def make_tags(types: Iterable[str], labels: Sequence[str]) -> list[str]:
    """Make labels for new types, in the style of those that a head has.

    types (Iterable[str]): The types.
    labels (Sequence[str]): The head's labels; "B-" and "I-" are used where there are only "O".
    RETURNS (list[str]): The new labels.
    """
    style, _ = _read_style(labels, "")
    if not style:
        return [*types]
    return [style.format(prefix=prefix, kind=kind) for kind in types for prefix in "BI"]


def _read_style(labels: Sequence[str], name: str) -> tuple[str, dict[str, tuple[str, str]]]:
    """How tags are written ("" if they are bare types), and prefix and type of each label."""
    others = {label for label in labels if label != "O"}
    if not others:
        return "{prefix}-{kind}", {}
    prefixed = {label: m.group(1, 2, 3) for label in others if (m := _PREFIXED.fullmatch(label))}
    suffixed = {label: m.group(3, 2, 1) for label in others if (m := _SUFFIXED.fullmatch(label))}
    for style, parts in (("{prefix}%s{kind}", prefixed), ("{kind}%s{prefix}", suffixed)):
        owned: dict[tuple[str, str], set[str]] = {}  # prefixes of each separator and type
        for prefix, separator, kind in parts.values():
            owned.setdefault((separator, kind), set()).add(prefix)
        # Vitamins B and E are no pair.
        pairs = [{"B", other} for other in ("IEL" if parts is prefixed else "I")]
        has_pair = any(pair <= own for own in owned.values() for pair in pairs)
        separators = {separator for separator, _ in owned}
        fits = len(parts) == len(others) and len(separators) == 1
        # An end needs a beginning, and so does a single token where nothing else shows a scheme.
        alone = "BI" if not has_pair else "BISU"
        fits &= all("B" in own or own <= set(alone) for own in owned.values())
        if has_pair and not fits:
            odd = sorted(others - {*parts}) or sorted(others)
            raise ValueError(Errors.OM034.format(name=name, labels=", ".join(odd)))
        if has_pair or (fits and parts is prefixed and separators == {"-"}):
            tags = {label: (prefix, kind) for label, (prefix, _, kind) in parts.items()}
            return style % separators.pop(), tags
    return "", {label: ("", label) for label in others}


# Light enough for black text; related types have related hues. The labels that spaCy
# has a colour for itself (PERSON, DATE, TIME, LANGUAGE) keep it, in every pipeline.
DISPLACY_COLORS: dict[str, str] = {
    # Chemicals and drugs
    "CHEMICAL": "#95e49c",
    "SIMPLE_CHEMICAL": "#a5e9c1",
    "AMINO_ACID": "#b6eddf",
    # Diseases
    "DISEASE": "#fc92b5",
    "CANCER": "#fda5aa",
    "PATHOLOGICAL_FORMATION": "#fdc9b9",
    # What clinical notes say of treatment and tests
    "DOSE": "#b8e79d",
    "FORM": "#cbefbe",
    "ROUTE": "#b9e8b0",
    "FREQUENCY": "#a7e0a3",
    "DURATION": "#c8efc8",
    "TEST": "#8de2d7",
    "TEST_RESULT": "#b6edeb",
    "PROCEDURE": "#d5c2f4",
    "DEVICE": "#d3d6ee",
    # Genes and their products
    "GENE_OR_GENE_PRODUCT": "#8edcf6",
    "VARIANT": "#a3eaf5",
    "DNA": "#a5d8f8",
    "RNA": "#bddbfa",
    "PROTEIN": "#8eb3f6",
    "PROTEIN_COMPLEX": "#a5b8f8",
    "PROTEIN_ENUM": "#bdc3fa",
    "PROTEIN_FAMILY_OR_GROUP": "#918ef6",
    "PROTEIN_VARIANT": "#b3a5f8",
    # Cells
    "CELL": "#cfa3f5",
    "CELL_LINE": "#e9b6f7",
    "CELL_TYPE": "#f9c8f7",
    "CELLULAR_COMPONENT": "#f5a3dc",
    # Organisms
    "SPECIES": "#dfe278",
    "ORGANISM": "#dae892",
    "ORGANISM_SUBDIVISION": "#daedab",
    "ORGANISM_SUBSTANCE": "#b6e278",
    # Anatomy
    "ANATOMY": "#fca47e",
    "ANATOMICAL_SYSTEM": "#fcbe97",
    "DEVELOPING_ANATOMICAL_STRUCTURE": "#fdd4af",
    "IMMATERIAL_ANATOMICAL_ENTITY": "#fcc57e",
    "MULTI_TISSUE_STRUCTURE": "#fcd997",
    "ORGAN": "#fde9af",
    "TISSUE": "#fce77e",
    # Personal data: who
    "GIVEN_NAME": "#f7c9eb",
    "MIDDLE_NAME": "#e6b3d6",
    "SURNAME": "#fed7f1",
    "USERNAME": "#d4afc7",
    "AGE": "#f5b8dc",
    "GENDER": "#db94bd",
    "DATE_OF_BIRTH": "#fdc3e3",
    "OCCUPATION": "#dbbdcc",
    "RACE_ETHNICITY": "#fadbea",
    "RELIGIOUS_BELIEF": "#e0a3bf",
    "POLITICAL_VIEW": "#fdafd0",
    "SEXUALITY": "#cda2b3",
    "EDUCATION_LEVEL": "#f7c9da",
    "EMPLOYMENT_STATUS": "#e6b3c4",
    "BLOOD_TYPE": "#d4afba",
    "BIOMETRIC_IDENTIFIER": "#f5b8c7",
    "PHOTOGRAPH": "#db94a8",
    # Personal data: where and when
    "ADDRESS": "#cdb0a2",
    "BUILDING_NUMBER": "#f7dbc9",
    "STREET_NAME": "#e6c8b3",
    "STREET_ADDRESS": "#feead7",
    "SECONDARY_ADDRESS": "#d4c3af",
    "CITY": "#f5dbb8",
    "COUNTY": "#dbc094",
    "STATE": "#fdeac3",
    "ZIP_CODE": "#dbd3bd",
    "COUNTRY": "#faf3db",
    "COORDINATE": "#e0d5a3",
    "ORGANIZATION": "#fdf2af",
    "LOCATION": "#f2e3c0",
    "DATE_TIME": "#e5e6b3",
    # Personal data: how to reach
    "EMAIL": "#a2cdc2",
    "PHONE": "#c9f7ee",
    "FAX": "#b3e6dd",
    "URL": "#d7fefa",
    "IP_ADDRESS": "#afd4d2",
    "IPV4": "#b8f5f4",
    "IPV6": "#94d9db",
    "MAC_ADDRESS": "#c3f9fd",
    "HTTP_COOKIE": "#bdd8db",
    "DEVICE_IDENTIFIER": "#dbf5fa",
    # Personal data: numbers and secrets
    "GOVERNMENT_ID": "#a2bbcd",
    "SSN": "#c9e2f7",
    "TAX_ID": "#b3cce6",
    "PASSPORT": "#d7e9fe",
    "DRIVERS_LICENSE": "#afbed4",
    "CERTIFICATE_LICENSE_NUMBER": "#b8cdf5",
    "MEDICAL_RECORD_NUMBER": "#94aadb",
    "HEALTH_PLAN_BENEFICIARY_NUMBER": "#c3d3fd",
    "CUSTOMER_ID": "#bdc3db",
    "EMPLOYEE_ID": "#dbe1fa",
    "ID": "#b9bfe6",
    "UNIQUE_ID": "#a3abe0",
    "VEHICLE_IDENTIFIER": "#afb6fd",
    "LICENSE_PLATE": "#a2a4cd",
    "ACCOUNT_NUMBER": "#cac9f7",
    "BANK_ACCOUNT": "#b5b3e6",
    "IBAN": "#dbd7fe",
    "ROUTING_NUMBER": "#b5afd4",
    "SWIFT_BIC": "#c3b8f5",
    "CREDIT_CARD": "#a594db",
    "CVV": "#d4c3fd",
    "PIN": "#c7bddb",
    "PASSWORD": "#e7dbfa",
    "API_KEY": "#bda3e0",
}
