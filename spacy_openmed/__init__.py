"""OpenMed's biomedical and clinical entity recognition as a spaCy component."""

__version__ = "0.2.0"
