"""The component `openmed_hcc`: ICD-10-CM and HCC codes of diagnoses, for a coder to review."""

from typing import TYPE_CHECKING, Any

from .._lazy import load

if TYPE_CHECKING:
    from .component import OpenMedHCC as OpenMedHCC
    from .component import add_hcc_pipes as add_hcc_pipes
    from .patterns import alias_patterns as alias_patterns
    from .patterns import hcc_patterns as hcc_patterns
    from .report import patient_report as patient_report
    from .risk import calculate as calculate
    from .risk import find_hccs as find_hccs

EXPORTS = {
    "OpenMedHCC": "component",
    "add_hcc_pipes": "component",
    "alias_patterns": "patterns",
    "calculate": "risk",
    "find_hccs": "risk",
    "hcc_patterns": "patterns",
    "patient_report": "report",
}
__all__ = [*EXPORTS]


def __getattr__(name: str) -> Any:
    return load(__name__, name, EXPORTS)
