"""One vocabulary for the labels of every checkpoint.

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
            raise ValueError(Errors.OM003.format(name=name, labels=", ".join(odd)))
        if has_pair or (fits and parts is prefixed and separators == {"-"}):
            tags = {label: (prefix, kind) for label, (prefix, _, kind) in parts.items()}
            return style % separators.pop(), tags
    return "", {label: ("", label) for label in others}
