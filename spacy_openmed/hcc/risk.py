"""HCC categories and risk scores, by hccinfhir."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from ..errors import Errors, missing_extra

MODELS = {"v24": "CMS-HCC Model V24", "v28": "CMS-HCC Model V28"}
HCC_KEYS = tuple(f"hcc_{model}" for model in MODELS)  # result keys of each model's categories
DEFAULT = {"age": 70, "sex": "F"}  # if only categories are needed
OLDEST = 120  # years
# The values of demographics, by how they may be written.
CODED: dict[str, dict[str, str]] = {
    "sex": {
        **dict.fromkeys(("F", "FEMALE", "W", "WOMAN", "2"), "F"),
        **dict.fromkeys(("M", "MALE", "MAN", "1"), "M"),
    },
    "dual_elgbl_cd": {name: name for name in ("NA", "99", *(f"{n:02}" for n in range(11)))},
    "orec": {name: name for name in "0123"},
    "crec": {name: name for name in "0123"},
}


def find_hccs(code: str, model: str) -> list[str]:
    """Find the categories of a code, before any hierarchy.

    code (str): A code of ICD-10-CM.
    model (str): "v24" or "v28".
    RETURNS (list[str]): The numbers of its categories; empty if it does not count for risk.
    RAISES (ImportError): If the extra `hcc` is not installed.
    RAISES (ValueError): If there is no such model.
    """
    if model not in MODELS:
        raise ValueError(Errors.OM554.format(model=model, known=", ".join(MODELS)))
    return sorted(_load_hccs().get((code.replace(".", ""), MODELS[model]), ()))


def clean_demographic(field: str, value: Any) -> Any:
    """Write a value of `hccinfhir.Demographics` as hccinfhir expects it: "Female" is "F", the dual
    code 2 is "02".

    field (str): "age", "sex", "dual_elgbl_cd", "orec", ...
    value (Any): The value.
    RETURNS (Any): The value as hccinfhir expects it; None if there is none.
    RAISES (ValueError): If the value is not valid.
    """
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        return None
    if field == "age":
        try:
            age = float(value)
        except (TypeError, ValueError):
            age = -1.0
        if isinstance(value, bool) or not 0 <= age <= OLDEST:
            raise ValueError(Errors.OM555.format(oldest=OLDEST))
        return int(age)
    if field not in CODED:
        return value
    is_number = isinstance(value, float) and value.is_integer()
    text = str(int(value) if is_number else value).strip().upper()
    known = CODED[field]
    text = known.get(text, text.zfill(2) if field == "dual_elgbl_cd" and text.isdigit() else text)
    if text not in known.values():
        raise ValueError(
            Errors.OM556.format(field=field, known=", ".join(sorted({*known.values()})))
        )
    return text


def calculate(
    codes: Iterable[str], model: str, demographics: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Calculate categories and the risk score as hccinfhir does.

    codes (Iterable[str]): The codes.
    model (str): "v24" or "v28".
    demographics (Mapping[str, Any] | None): See `patient_report`.
    RETURNS (dict[str, Any]): "raf", the score; "coefficients", its summands (both None without
        age or sex); and "hccs", each with its label, coefficient and codes.
    RAISES (ValueError): If there is no such model, or if the demographics are not valid.
    """
    codes = sorted({code.upper() for code in codes})
    calculator = _load_calculator(model)
    from hccinfhir import Demographics
    from pydantic import ValidationError

    given = {
        field: clean_demographic(field, value) for field, value in (demographics or {}).items()
    }
    is_known = all(given.get(field) is not None for field in DEFAULT)
    # Categories depend on age and sex by a few edits only.
    given = given if is_known else DEFAULT
    try:
        person = Demographics(**given)
    except ValidationError as error:
        fields = ", ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
        raise ValueError(Errors.OM553.format(error=fields)) from None
    result = calculator.calculate_from_diagnosis(codes, person)
    return {
        "raf": round(result.risk_score, 3) if is_known else None,
        "hccs": [
            {
                "hcc": detail.hcc,
                "label": detail.label,
                "coefficient": detail.coefficient if is_known else None,
                "codes": [
                    code for code in codes if code.replace(".", "") in result.cc_to_dx[detail.hcc]
                ],
            }
            for detail in sorted(result.hcc_details, key=lambda detail: int(detail.hcc))
        ],
        "coefficients": dict(result.coefficients) if is_known else None,
    }


@cache
def _load_hccs() -> dict[tuple[str, str], set[str]]:
    with _importing_hccinfhir():
        from hccinfhir.defaults import dx_to_cc_default
    return dx_to_cc_default


@cache
def _load_calculator(model: str) -> Any:
    if model not in MODELS:
        raise ValueError(Errors.OM554.format(model=model, known=", ".join(MODELS)))
    with _importing_hccinfhir():
        from hccinfhir import HCCInFHIR

        return HCCInFHIR(model_name=MODELS[model])  # type: ignore[arg-type]


@contextmanager
def _importing_hccinfhir() -> Iterator[None]:
    """Ignore the warnings about how it finds its tables (importlib.resources.path)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
        except ImportError as error:
            raise missing_extra("hcc", error) from error
