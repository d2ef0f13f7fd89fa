"""Describe the pipeline that is served."""

from pathlib import Path

from spacy.language import Language

from .. import catalogue
from ..apply.fingerprint import fingerprint
from ..ner.component import OpenMedNER
from .schemas import Component, Pipeline


def describe_pipeline(nlp: Language) -> Pipeline:
    """Describe a pipeline. Its checkpoints are loaded if needed.

    nlp (Language): The pipeline.
    RETURNS (Pipeline): The response of /models.
    """
    hash = fingerprint(nlp)  # first, as it loads what labels are read from
    components = [_describe_component(nlp, name) for name in nlp.pipe_names]
    return Pipeline(
        name=nlp.meta["name"],
        version=nlp.meta["version"],
        lang=nlp.lang or "",
        components=components,
        labels=list(catalogue.unique(label for c in components for label in c.labels)),
        datasets=list(catalogue.unique(dataset for c in components for dataset in c.datasets)),
        domains=list(catalogue.unique(domain for c in components for domain in c.domains)),
        fingerprint=hash,
    )


def _describe_component(nlp: Language, name: str) -> Component:
    pipe = nlp.get_pipe(name)
    component = Component(
        name=name,
        factory=nlp.get_pipe_meta(name).factory,
        labels=list(getattr(pipe, "labels", ())),
    )
    if isinstance(pipe, OpenMedNER):
        component.datasets = [head.dataset for head in pipe.heads]
        component.checkpoint = _name_checkpoint(pipe)
        component.domains = [
            name
            for name, domain in catalogue.domains().items()
            if {*domain.datasets} & {*component.datasets}
        ]
    return component


def _name_checkpoint(pipe: OpenMedNER) -> str:
    """A hub id, or the last part of a path. The rest of the path stays private."""
    name = pipe.shim.name
    return Path(name).name if Path(name).is_absolute() or Path(name).is_dir() else name
