"""Pipelines that take texts of any length."""

import pkgutil
import sys

import spacy
import spacy.lang
from spacy.language import Language

from ..errors import Errors
from ..suggestions import nearest

# spaCy limits the length of a text for these: they take a gigabyte a hundred thousand characters.
LIMITED = {"parser", "beam_parser", "ner", "beam_ner"}


def blank_pipeline(language: str = "en") -> Language:
    """Make a pipeline that has a tokenizer only, and takes texts of any length.

    language (str): A language code of spaCy.
    RETURNS (Language): The pipeline.
    RAISES (ImportError): If spaCy does not have the language.
    """
    try:
        nlp = spacy.blank(language)
    except ImportError as error:
        known = [module.name for module in pkgutil.iter_modules(spacy.lang.__path__)]
        near = nearest(language, known)
        raise ImportError(Errors.OM300.format(language=language, nearest=near)) from error
    return lift_limit(nlp)


def lift_limit(nlp: Language) -> Language:
    """Let a pipeline take texts of any length, unless it has a component that needs the limit.

    nlp (Language): The pipeline.
    RETURNS (Language): The same pipeline.
    """
    if not LIMITED & {nlp.get_pipe_meta(name).factory for name in nlp.pipe_names}:
        nlp.max_length = sys.maxsize
    return nlp
