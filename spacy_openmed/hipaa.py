"""HIPAA's Safe Harbor: which labels are which of the 18 identifiers, and what of them may stay.

45 CFR 164.514(b)(2)(i), https://www.ecfr.gov/current/title-45/section-164.514.
"""

import re

# The identifiers (A) to (R) -> the canonical labels that are one.
IDENTIFIERS: dict[str, tuple[str, ...]] = {
    "name": ("PERSON", "GIVEN_NAME", "MIDDLE_NAME", "SURNAME"),
    "geography": (
        *("ADDRESS", "BUILDING_NUMBER", "STREET_NAME", "STREET_ADDRESS", "SECONDARY_ADDRESS"),
        *("CITY", "COUNTY", "ZIP_CODE", "COORDINATE", "LOCATION", "ORGANIZATION"),
    ),
    "date": ("DATE", "DATE_TIME", "DATE_OF_BIRTH", "AGE"),
    "phone": ("PHONE",),
    "fax": ("FAX",),
    "email": ("EMAIL",),
    "ssn": ("SSN",),
    "medical_record": ("MEDICAL_RECORD_NUMBER",),
    "health_plan": ("HEALTH_PLAN_BENEFICIARY_NUMBER",),
    "account": (
        *("ACCOUNT_NUMBER", "BANK_ACCOUNT", "IBAN", "ROUTING_NUMBER", "SWIFT_BIC"),
        *("CREDIT_CARD", "CVV"),
    ),
    "license": ("CERTIFICATE_LICENSE_NUMBER", "DRIVERS_LICENSE"),
    "vehicle": ("VEHICLE_IDENTIFIER", "LICENSE_PLATE"),
    "device": ("DEVICE_IDENTIFIER", "MAC_ADDRESS"),
    "url": ("URL",),
    "ip": ("IP_ADDRESS", "IPV4", "IPV6"),
    "biometric": ("BIOMETRIC_IDENTIFIER",),
    "photograph": ("PHOTOGRAPH",),
    "other": (
        *("ID", "UNIQUE_ID", "GOVERNMENT_ID", "TAX_ID", "PASSPORT", "CUSTOMER_ID", "EMPLOYEE_ID"),
        *("USERNAME", "PASSWORD", "PIN", "API_KEY", "HTTP_COOKIE"),
    ),
}
_IDENTIFIER_OF = {label: name for name, labels in IDENTIFIERS.items() for label in labels}

# Areas of the first three figures of a ZIP code with 20,000 people or fewer, of the Census of 2000:
# Office for Civil Rights, "Guidance Regarding Methods for De-identification", 2012.
SMALL_ZIP3 = frozenset(
    (
        *("036", "059", "063", "102", "203", "556", "692", "790", "821"),
        *("823", "830", "831", "878", "879", "884", "890", "893"),
    )
)
_YEAR = re.compile(r"(?<!\d)(?:18|19|20)\d\d(?!\d)")
OLDEST = 89  # Ages up to this may stay.


def identifier_of(label: str) -> str | None:
    """Get the identifier that a label stands for.

    label (str): A canonical label.
    RETURNS (str | None): A key of `IDENTIFIERS`; None if it is none of them (a state, a gender).
    """
    return _IDENTIFIER_OF.get(label)


def may_stay(label: str, text: str) -> bool:
    """Say whether what was found may stay as it is: ages that are surely no more than 89.

    label (str): Its canonical label.
    text (str): The text.
    RETURNS (bool): Whether it is no identifier.
    """
    ages = re.findall(r"\d+", text)
    is_low = all(len(age) < 3 and int(age) <= OLDEST for age in ages)
    return label == "AGE" and bool(ages) and is_low


def generalise(label: str, text: str, *, this_year: int) -> str | None:
    """Get what Safe Harbor lets stay of an identifier: the year of a date, the first three figures
    of a ZIP code, and that somebody is 90 or older.

    label (str): Its canonical label.
    text (str): The text.
    this_year (int): Years that tell of an age over 89 do not stay.
    RETURNS (str | None): What may stay; None: nothing.
    """
    if label == "ZIP_CODE":
        area = "".join(re.findall(r"\d", text))[:3]
        return f"{'000' if area in SMALL_ZIP3 else area}**"
    if label == "AGE":
        return f"{OLDEST + 1}+"
    years = _YEAR.findall(text)
    is_date = identifier_of(label) == "date" and len(years) == 1
    return years[0] if is_date and not tells_old_age(label, text, this_year=this_year) else None


def tells_old_age(label: str, text: str, *, this_year: int) -> bool:
    """Say whether a date has a year that may tell of an age over 89.

    label (str): Its canonical label. The year of a birth that has not four figures may be any.
    text (str): The date.
    this_year (int): The year to count from.
    RETURNS (bool): Whether it does.
    """
    years = _YEAR.findall(text)
    if label == "DATE_OF_BIRTH" and not years:
        return True
    return any(this_year - int(year) > OLDEST for year in years)
