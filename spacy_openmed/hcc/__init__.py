"""The component `openmed_hcc`: ICD-10-CM and HCC codes of diagnoses, for a coder to review."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .component import OpenMedHCC as OpenMedHCC
    from .component import add_hcc_pipes as add_hcc_pipes
    from .patterns import alias_patterns as alias_patterns
    from .patterns import hcc_patterns as hcc_patterns
    from .report import patient_report as patient_report
    from .risk import calculate as calculate
    from .risk import find_hccs as find_hccs

__all__, __getattr__ = lazy(
    __name__,
    component=["OpenMedHCC", "add_hcc_pipes"],
    patterns=["alias_patterns", "hcc_patterns"],
    report=["patient_report"],
    risk=["calculate", "find_hccs"],
)
