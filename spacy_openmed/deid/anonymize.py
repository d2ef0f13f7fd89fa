"""Replace the identifiers of a text, and restore encrypted ones.

Needs the extra [deid].
"""

import binascii
import logging
import re
from collections.abc import Mapping
from datetime import date
from hashlib import blake2b
from typing import Any, Literal, get_args

from spacy.tokens import Doc, SpanGroup

from ..errors import Errors
from ..labels import canonical_label
from ..spans import OFFSETS, SCORES
from ..suggestions import nearest
from .candidates import RULES, Candidate, resolve, source_of
from .dates import find_year, shift_dates
from .identifiers import IDENTIFIERS, generalise, identifier_of, tells_old_age

try:
    from presidio_anonymizer import AnonymizerEngine, DeanonymizeEngine
    from presidio_anonymizer.entities import (
        InvalidParamError,
        OperatorConfig,
        OperatorResult,
        RecognizerResult,
    )
    from presidio_anonymizer.operators import Hash
except ImportError as error:
    raise ImportError(Errors.OM500.format(package=error.name)) from error

from .audit import Deidentified, Replacement
from .surrogates import People, Surrogates, read_people

# Its debug messages quote the texts.
logging.getLogger("presidio-anonymizer").setLevel(logging.WARNING)

Action = Literal["redact", "mask", "hash", "surrogate", "shift", "generalise", "encrypt", "keep"]
ACTIONS: tuple[str, ...] = get_args(Action)
KEYED = {"hash", "surrogate", "shift", "encrypt"}
_JSON_BEFORE, _JSON_BEHIND = (
    re.compile(r'"\s*:\s*(?:\[(?:[^\[\]{}"]*,)?\s*)?\Z'),
    re.compile(r"\s*[,\]}]"),
)
CHECKS = ("key_check", "text_check")  # columns of a table
MIN_KEY = 16  # bytes
MAX_WEEKS = 52  # how far dates are shifted, into the past


def deidentify(
    doc: Doc,
    action: Action = "redact",
    *,
    actions: Mapping[str, Action] | None = None,
    key: str | bytes | None = None,
    patient: str = "",
    spans_key: str = "phi",
) -> Deidentified:
    """Replace the identifiers of a document.

    doc (Doc): A document annotated by openmed_phi.
    action (str): What to do with identifiers. "redact": their label in brackets. "mask": one
        asterisk per character. "hash": a keyed hash, the same for the same text. "surrogate":
        made-up values, consistent within a patient; dates are shifted. "shift": moves dates into
        the past by whole weeks, up to a year, derived from the key and the patient; other
        identifiers are redacted. "generalise": the year of dates, the first three digits of ZIP
        codes, ages as 90+; the rest is redacted. "encrypt": `decrypt` restores the text. "keep":
        leaves the text as it is.
    actions (Mapping[str, str] | None): Actions for single labels, e.g. {"DATE": "shift"}. Labels
        may have any spelling that `canonical_label` knows.
    key (str | bytes | None): A secret of 16 bytes or more, e.g. from `secrets.token_hex`.
        Surrounding white space in a string is ignored, as files end with a line break.
    patient (str): Any id of the patient. Each patient has their own surrogates and date shift.
    spans_key (str): Key in doc.spans of the identifiers.
    RETURNS (Deidentified): The new text and the audit.
    RAISES (ImportError): If the extra [deid] is not installed.
    RAISES (ValueError): If the document has no such spans, an action is unknown or needs a key,
        the key is too short, or `actions` names a label that is not an identifier's.
    """
    chosen = {action, *(actions or {}).values()}
    for unknown in sorted(chosen - set(ACTIONS)):
        near = nearest(unknown, ACTIONS)
        raise ValueError(
            Errors.OM504.format(action=unknown, nearest=near, known=", ".join(ACTIONS))
        )
    if chosen & KEYED and key is None:
        raise ValueError(Errors.OM505.format(actions=", ".join(sorted(chosen & KEYED))))
    if spans_key not in doc.spans:
        raise ValueError(Errors.OM506.format(key=spans_key))
    text = doc.text
    found = resolve(text, _read_group(doc.spans[spans_key]))
    known = {canonical_label(span.label_) for span in doc.spans[spans_key]}
    chosen_for = {}
    for label, wanted in (actions or {}).items():
        canonical = canonical_label(label)
        if identifier_of(canonical) is None and canonical not in known:
            labels = [name for row in IDENTIFIERS.values() for name in row]
            raise ValueError(Errors.OM513.format(label=label, nearest=nearest(label, labels)))
        chosen_for[canonical] = wanted
    dates = (text[c.start : c.end] for c in found if canonical_label(c.label) == "DATE")
    people = read_people(text, (c[:3] for c in found))
    operate = _Operators(key, patient, people, find_year(dates))
    taken, operators = [], {}
    for number, c in enumerate(found):
        wanted = chosen_for.get(canonical_label(c.label), action)
        done, operator = operate(wanted, c.label, text[c.start : c.end])
        if "new_value" in operator.params and _is_json_number(text, c.start, c.end):
            value = operator.params["new_value"]
            operator = OperatorConfig("replace", {"new_value": f'"{value}"'})
        operators[str(number)] = operator
        taken.append(done)
    # Presidio chooses operators by entity type, so each identifier gets its own type.
    results = [
        RecognizerResult(str(number), c.start, c.end, c.score) for number, c in enumerate(found)
    ]
    output = AnonymizerEngine().anonymize(
        text, results, operators, merge_entities_with_spaces=False
    )
    items = sorted(output.items, key=lambda item: item.start)
    replacements = tuple(
        Replacement(
            start=c.start,
            end=c.end,
            new_start=item.start,
            new_end=item.end,
            label=c.label,
            identifier=identifier_of(c.label),
            source=source_of(c),
            rule=c.rule,
            score=c.score,
            action=done,
        )
        for c, item, done in zip(found, items, taken, strict=True)
    )
    if key is None:
        return Deidentified(output.text, replacements)
    checks = make_key_check(key), _make_text_check(key, output.text)
    return Deidentified(output.text, replacements, *checks)


def _is_json_number(text: str, start: int, end: int) -> bool:
    """Whether these characters are a bare JSON number, whose replacement needs quotes."""
    return bool(_JSON_BEFORE.search(text[max(start - 80, 0) : start])) and bool(
        _JSON_BEHIND.match(text, end)
    )


def _read_group(group: SpanGroup) -> list[Candidate]:
    """The identifiers of a span group. A span added by hand, without attrs, counts as the model's,
    with a score of 1. Offsets outside their span are ignored."""
    columns = [list(group.attrs.get(name, ())) for name in (OFFSETS, SCORES, RULES)]
    if any(len(column) != len(group) for column in columns):
        columns = [[None] * len(group) for _ in columns]
    found = []
    for span, offsets, score, rule in zip(group, *columns, strict=True):
        start, end = offsets or (span.start_char, span.end_char)
        if not span.start_char <= start < end <= span.end_char:  # stale: of another span
            start, end = span.start_char, span.end_char
        score = 1.0 if score is None else score
        found.append(Candidate(start, end, span.label_, score, rule or ""))
    return found


class _Operators:
    """Choose Presidio's operator for an identifier."""

    def __init__(
        self, key: str | bytes | None, patient: str, people: People, year: int | None
    ) -> None:
        self.people = people
        self.year = year
        self.this_year = date.today().year
        if key is not None:
            self.salt = _derive(key, "hash")
            self.cipher = _derive(key, "encrypt")
            self.surrogates = Surrogates(_derive(key, "surrogate", patient))
            # Whole weeks keep the days of the week.
            weeks = int.from_bytes(_derive(key, "shift", patient), "big") % MAX_WEEKS + 1
            self.days = -7 * weeks

    def __call__(self, action: str, label: str, text: str) -> tuple[str, OperatorConfig]:
        """RETURNS (tuple[str, OperatorConfig]): The action taken, and its operator."""
        value: str | None = None
        if action == "surrogate" and identifier_of(label) == "date":
            action = "generalise" if label == "AGE" else "shift"
        if action == "mask":
            return action, OperatorConfig("replace", {"new_value": "*" * len(text)})
        if action == "hash":
            value = Hash().operate(text, {"hash_type": "sha256", "salt": self.salt})
            return action, OperatorConfig("replace", {"new_value": value})
        if action == "encrypt":
            return action, OperatorConfig(action, {"key": self.cipher})
        if action == "keep":
            return action, OperatorConfig(action)
        if action == "surrogate":
            value = self.surrogates(label, text, self.people)
        elif action == "shift" and identifier_of(label) == "date" and label != "AGE":
            is_telling = tells_old_age(label, text, this_year=self.this_year)
            value = None if is_telling else shift_dates(text, self.days, self.year)
        elif action == "generalise":
            value = generalise(label, text, this_year=self.this_year)
        if value is None:
            action, value = "redact", f"[{label}]"
        return action, OperatorConfig("replace", {"new_value": value})


def _derive(key: str | bytes, purpose: str, patient: str = "") -> bytes:
    """Derive a secret for one purpose, and for one patient if given."""
    secret = key.strip().encode("utf8") if isinstance(key, str) else key
    if len(secret) < MIN_KEY:
        raise ValueError(Errors.OM507.format(n_bytes=len(secret), least=MIN_KEY))
    message = f"{purpose}\0{patient}".encode()
    return blake2b(message, key=blake2b(secret).digest(), digest_size=32).digest()


def make_key_check(key: str | bytes) -> str:
    """RETURNS (str): A checksum that identifies a key without revealing it.
    RAISES (ValueError): If it is too short."""
    return _derive(key, "check")[:8].hex()


def _make_text_check(key: str | bytes, text: str) -> str:
    return blake2b(text.encode(), key=_derive(key, "text"), digest_size=16).hexdigest()


def decrypt(result: Deidentified, key: str | bytes) -> str:
    """Restore the original text, if all identifiers were encrypted or kept.

    result (Deidentified): What `deidentify` returned.
    key (str | bytes): The key that was used.
    RETURNS (str): The original text, exactly.
    RAISES (ValueError): If no key or another key was used, some identifier can't be restored, or
        the text was changed.
    """
    lost = {r.action for r in result.replacements} - {"encrypt", "keep"}
    if lost:
        raise ValueError(Errors.OM508.format(actions=", ".join(sorted(lost))))
    if not result.key_check:
        raise ValueError(Errors.OM514)
    if result.key_check != make_key_check(key):
        raise ValueError(Errors.OM509)
    if result.text_check != _make_text_check(key, result.text):
        raise ValueError(Errors.OM510)
    items = [
        OperatorResult(r.new_start, r.new_end, r.label)
        for r in result.replacements
        if r.action == "encrypt"
    ]
    operators = {"DEFAULT": OperatorConfig("decrypt", {"key": _derive(key, "encrypt")})}
    try:
        text = DeanonymizeEngine().deanonymize(result.text, items, operators).text
    except (binascii.Error, InvalidParamError, ValueError) as error:
        raise ValueError(Errors.OM510) from error
    return text


def decrypt_row(row: Mapping[str, Any], key: str | bytes, *, text_column: str = "text") -> str:
    """Restore the original text of a row, if all identifiers were encrypted or kept.

    row (Mapping[str, Any]): A row of the table that a `Deidentifier` made.
    key (str | bytes): The key that was used.
    text_column (str): The column of texts.
    RETURNS (str): The original text, exactly.
    RAISES (ValueError): If the row has no such column. Also see `decrypt`.
    """
    if text_column not in row:
        raise ValueError(Errors.OM515.format(column=text_column, columns=", ".join(row)))
    audit = {name: row[name] for name in CHECKS} | {"replacements": row["entities"]}
    return decrypt(Deidentified.from_dict(row[text_column], audit), key)
