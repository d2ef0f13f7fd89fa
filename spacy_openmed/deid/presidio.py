"""Run Presidio on a document that spaCy has already tokenized. Needs the extra [deid]."""

import logging
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

import regex
import srsly
from spacy.lang.en.stop_words import STOP_WORDS
from spacy.tokens import Doc

from ..errors import Errors
from ..paths import DATA_PATH
from .candidates import Candidate

try:
    from presidio_analyzer import AnalyzerEngine, RecognizerResult
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
    from presidio_analyzer.nlp_engine import NlpArtifacts, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer
    from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider
except ImportError as error:
    raise ImportError(Errors.OM500.format(package=error.name)) from error

# Their debug messages quote words of the text.
logging.getLogger("presidio-analyzer").setLevel(logging.WARNING)

RULES = DATA_PATH / "hipaa.yaml"
LANGUAGE = "en"  # of the rules
# The leader of a form, between a label and its field: "Surname....: ", "Claim.......".
_LEADER = re.compile(r"(?<=\w)[ ]?(?:\.{4,}:?|\.{2,}:|_{3,}:?)[ ]?(?=\S)")


class DocEngine(SpacyNlpEngine):
    """The engine that Presidio requires, without a pipeline of its own."""

    def is_loaded(self) -> bool:
        return True

    def is_stopword(self, word: str, language: str) -> bool:
        return word in STOP_WORDS

    def is_punct(self, word: str, language: str) -> bool:
        return not any(map(str.isalnum, word))


class ContextEnhancer(LemmaContextAwareEnhancer):
    """Presidio's enhancer, with a faster search for the token of a match."""

    @staticmethod
    def _find_index_of_match_token(
        word: str, start: int, tokens: Doc, tokens_indices: list[int]
    ) -> int:
        return max(bisect_right(tokens_indices, start) - 1, 0)


def check_recognizer(recognizer: Any) -> None:
    """Check a recogniser of a deployment.

    recognizer (Any): What should be a row of Presidio's files.
    RAISES (ValueError): If it is malformed.
    """
    name = recognizer.get("name") if isinstance(recognizer, Mapping) else type(recognizer).__name__
    try:
        rows = [dict(pattern) for pattern in recognizer.get("patterns") or ()]
        if not name or any(not {"name", "regex", "score"} <= row.keys() for row in rows):
            raise ValueError("something is missing")
        for row in rows:
            regex.compile(row["regex"])
    except (AttributeError, TypeError, ValueError, regex.error) as error:
        raise ValueError(Errors.OM516.format(name=name, error=error)) from error


def make_analyzer(recognizers: Iterable[dict[str, Any]], threshold: float) -> AnalyzerEngine:
    """Make the analyzer, with our rules and the user's.

    recognizers (Iterable[dict[str, Any]]): Further recognisers, in the format of Presidio's files.
    threshold (float): Minimum score.
    RETURNS (AnalyzerEngine): The analyzer.
    """
    rules = srsly.read_yaml(RULES)
    rules["recognizers"] += [{"supported_language": LANGUAGE, **rec} for rec in recognizers]
    registry = RecognizerRegistryProvider(registry_configuration=rules).create_recognizer_registry()
    # A file can't set the regions; more of them would take longer than all other rules together.
    registry.add_recognizer(PhoneRecognizer(supported_entity="PHONE", supported_regions=["US"]))
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=DocEngine(),
        context_aware_enhancer=ContextEnhancer(),
        default_score_threshold=threshold,
    )


def analyze(analyzer: AnalyzerEngine, doc: Doc) -> list[Candidate]:
    """Run the rules over a document.

    Presidio does not get the model's candidates. It would keep only the higher score of two
    candidates for the same characters, and a rule's match tells more about their context.

    analyzer (AnalyzerEngine): The analyzer.
    doc (Doc): The document.
    RETURNS (list[Candidate]): The candidates.
    """
    artifacts = NlpArtifacts(
        entities=[],
        tokens=doc,
        tokens_indices=[token.idx for token in doc],
        lemmas=[token.lemma_ or token.lower_ for token in doc],
        nlp_engine=analyzer.nlp_engine,
        language=LANGUAGE,
    )
    text = _LEADER.sub(_to_colon, doc.text)
    return [
        Candidate(
            result.start,
            result.end,
            result.entity_type,
            round(float(result.score), 4),
            result.recognition_metadata[RecognizerResult.RECOGNIZER_NAME_KEY],
        )
        for result in analyzer.analyze(text, LANGUAGE, nlp_artifacts=artifacts)
    ]


def _to_colon(leader: re.Match[str]) -> str:
    """A colon and spaces, of the same length as the leader."""
    return ":".ljust(len(leader[0]))
