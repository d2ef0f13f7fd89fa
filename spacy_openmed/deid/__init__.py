"""De-identification: the component `openmed_phi`, and texts without their identifiers."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .anonymize import decrypt as decrypt
    from .anonymize import decrypt_row as decrypt_row
    from .anonymize import deidentify as deidentify
    from .audit import carry_over as carry_over
    from .component import OpenMedPHI as OpenMedPHI
    from .identifiers import IDENTIFIERS as IDENTIFIERS
    from .pipes import add_phi_pipes as add_phi_pipes
    from .pipes import annotate_text as annotate_text

__all__, __getattr__ = lazy(
    __name__,
    anonymize=["decrypt", "decrypt_row", "deidentify"],
    audit=["carry_over"],
    component=["OpenMedPHI"],
    identifiers=["IDENTIFIERS"],
    pipes=["add_phi_pipes", "annotate_text"],
)
