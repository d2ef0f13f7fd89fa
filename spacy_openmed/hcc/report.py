"""Reports of a patient: codes, HCC categories after hierarchies, and the risk score."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spacy.tokens import Doc
from spacy.util import SimpleFrozenList

from ..errors import Errors
from ..extensions import register_extensions
from .risk import HCC_KEYS, MODELS, calculate
from .rules import find_superseded, is_kept
from .tables import load_patterns

NOTICE = (
    "For a coder to review. These are ranked suggestions from the words of the notes, no coding: "
    "whether a diagnosis was made, is current and may be reported has to be read in the notes."
)


def patient_report(
    docs: Iterable[Doc],
    *,
    patient: str = "",
    demographics: Mapping[str, Any] | None = None,
    historical: bool = False,
    notes: Sequence[Mapping[str, Any]] = SimpleFrozenList(),
) -> dict[str, Any]:
    """Summarise the codes of a patient's notes: the categories of CMS-HCC V24 and V28 after
    hierarchies, the risk score, and the evidence for each code.

    docs (Iterable[Doc]): The notes, with `doc._.hcc`.
    patient (str): The patient's id.
    demographics (Mapping[str, Any] | None): What `hccinfhir.Demographics` takes: "age", "sex" and
        others. None: no risk score.
    historical (bool): Whether codes that are only mentioned as history count. They are listed
        either way. Codes for a status (Z), remission and the patient's own history always count,
        those for a relative's disease only with this setting.
    notes (Sequence[Mapping[str, Any]]): Metadata of each note, for the evidence: "note", its id,
        and "date", the date of service.
    RETURNS (dict[str, Any]): The report, as plain data.
    RAISES (ValueError): If a document has not gone through `openmed_hcc`, or if the demographics
        are not valid.
    """
    codes: dict[str, dict[str, Any]] = {}
    unlinked = []
    register_extensions()
    for number, doc in enumerate(docs):
        if doc._.hcc is None:
            raise ValueError(Errors.OM552)
        note = notes[number] if number < len(notes) else {}
        text = doc.text  # spaCy joins it anew each time
        for found in doc._.hcc:
            row = codes.setdefault(
                found["code"],
                {key: found[key] for key in ("code", "description", *HCC_KEYS)}
                | {"counted": False, "superseded_by": None, "rule": "", "evidence": []},
            )
            keys = ("score", "how", "rule", "symptom")
            evidence = _to_evidence(text, number, found, keys, note)
            row["evidence"].append({**evidence, "meat": find_meat(evidence["sentence"])})
            is_past = found["historical"] and not is_kept(found["code"], found["description"])
            is_current = historical or not is_past
            row["counted"] |= is_current and not found["symptom"]
        unlinked += [
            _to_evidence(text, number, f, ("candidates",), note) for f in doc._.hcc_unlinked
        ]
    counted = [code for code, row in codes.items() if row["counted"]]
    for code, (better, rule) in find_superseded(counted).items():
        codes[code].update(counted=False, superseded_by=better, rule=rule)
    counted = [code for code in counted if codes[code]["counted"]]
    return {
        "notice": NOTICE,
        "patient": patient,
        "demographics": dict(demographics) if demographics is not None else None,
        "models": {name: calculate(counted, name, demographics) for name in MODELS},
        "codes": [codes[code] for code in sorted(codes)],
        "unlinked": unlinked,
    }


def find_counted(doc: Doc) -> set[str]:
    """RETURNS (set[str]): The codes of one document that count."""
    return {row["code"] for row in patient_report([doc])["codes"] if row["counted"]}


def find_meat(text: str) -> dict[str, list[str]]:
    """Find what a sentence says was done about a diagnosis: monitored, evaluated, assessed,
    treated.

    text (str): The sentence.
    RETURNS (dict[str, list[str]]): The words that hint at each, in lower case.
    """
    return {
        kind: list(dict.fromkeys(match[0].lower() for match in pattern.finditer(text)))
        for kind, pattern in load_patterns("meat").items()
    }


def _to_evidence(
    text: str,
    number: int,
    found: Mapping[str, Any],
    keys: Sequence[str],
    note: Mapping[str, Any],
) -> dict[str, Any]:
    start, end = found["sentence"]
    return {
        "document": number,
        "note": note.get("note"),
        "date": note.get("date"),
        "start": found["start"],
        "end": found["end"],
        "mention": text[found["start"] : found["end"]],
        "sentence_start": start,
        "sentence_end": end,
        "sentence": text[start:end].strip(),
        "historical": found["historical"],
        **{key: found[key] for key in keys},
    }
