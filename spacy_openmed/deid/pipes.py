"""Pipelines that find identifiers."""

from typing import Any

from spacy.language import Language


def phi_settings(size: str = "mini", checkpoint: str | None = None) -> dict[str, Any]:
    """Make the settings of `openmed_ner` for personal data.

    size (str): Size of the checkpoint.
    checkpoint (str | None): A checkpoint, in place of the catalogue's of that size.
    RETURNS (dict[str, Any]): The settings. What is found goes to `doc.spans` only.
    """
    return {"domain": "privacy", "size": size, "annotate": "spans", "model": {"name": checkpoint}}


def add_phi_pipes(
    nlp: Language, *, size: str = "mini", checkpoint: str | None = None, threshold: float = 0.3
) -> Language:
    """Add the components that find identifiers: a model for personal data, and `openmed_phi`.

    nlp (Language): The pipeline.
    size (str): Size of the checkpoint.
    checkpoint (str | None): A checkpoint, in place of the catalogue's of that size.
    threshold (float): Lowest score of an identifier.
    RETURNS (Language): The same pipeline.
    """
    nlp.add_pipe("openmed_ner", name="openmed_privacy", config=phi_settings(size, checkpoint))
    nlp.add_pipe("openmed_phi", config={"threshold": threshold})
    return nlp
