"""De-identification: the component `openmed_phi`, and texts without their identifiers."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .anonymize import decrypt as decrypt
    from .anonymize import deidentify as deidentify
    from .audit import carry_over as carry_over
    from .component import OpenMedPHI as OpenMedPHI
    from .identifiers import IDENTIFIERS as IDENTIFIERS
    from .pipes import add_phi_pipes as add_phi_pipes

EXPORTS = {
    "IDENTIFIERS": "identifiers",
    "OpenMedPHI": "component",
    "add_phi_pipes": "pipes",
    "carry_over": "audit",
    "decrypt": "anonymize",
    "decrypt_row": "anonymize",
    "deidentify": "anonymize",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
