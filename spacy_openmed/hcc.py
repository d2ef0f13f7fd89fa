"""The component `openmed_hcc`: ICD-10-CM and HCC codes of diagnoses, for a coder to review.

It helps coders and codes nothing by itself: it ranks codes and shows what they rest on. It knows
no rules of encounters and providers, and does not look for what supports a diagnosis.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import srsly
from spacy import util
from spacy.language import Language
from spacy.tokens import Doc, Span, Token
from spacy.util import SimpleFrozenDict, SimpleFrozenList
from spacy.vocab import Vocab

from .components import SerializableComponent
from .errors import Errors, Warnings, missing_extra
from .extensions import register_extensions
from .icd10cm import Vocabulary, add_aliases, read_aliases, read_vocabulary
from .idle import Need, warn_if_idle, warn_without, watch
from .labels import canonical_label
from .linking import Candidate, Linker, make_linker
from .sentences import set_sentence_starts

MODELS = {"v24": "CMS-HCC Model V24", "v28": "CMS-HCC Model V28"}
NOTICE = (
    "For a coder to review. These are ranked suggestions from the words of the notes, no coding: "
    "whether a diagnosis was made, is current and may be reported has to be read in the notes."
)
DEFAULT = {"age": 70, "sex": "F"}  # where only categories are asked for
SKIPPED = ("is_negated", "is_family", "is_hypothetical")
HISTORICAL = "is_historical"
LABELS = ("DISEASE", "CANCER")
WIDEST = 5  # tokens to either side of a mention
# Abbreviations that mostly mean something else where no model has called them a disease: room
# air, physical examination, ...
AMBIGUOUS = {
    *("ALS", "CAP", "CF", "CHB", "CHD", "CRI", "HCM", "ICM", "PE", "RA", "SAH", "SCD", "TAA", "UC")
}


@Language.factory(
    "openmed_hcc",
    requires=["doc.ents"],
    assigns=["doc._.hcc", "doc._.hcc_unlinked", "span._.icd10cm"],
    default_config={
        "labels": list(LABELS),
        "span_keys": ["openmed"],
        "threshold": 0.1,
        "n_candidates": 5,
        "aliases": {},
    },
)
def make_openmed_hcc(
    nlp: Language,
    name: str,
    labels: list[str],
    span_keys: list[str],
    threshold: float,
    n_candidates: int,
    aliases: dict[str, str],
) -> "OpenMedHCC":
    """Make a component that links diagnoses to ICD-10-CM and to the categories of CMS-HCC.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    labels (list[str]): Labels of the entities to link.
    span_keys (list[str]): Groups in doc.spans to read beside doc.ents.
    threshold (float): Lowest score of a code that is taken. A mention whose best one is lower
        gets none; its candidates are listed all the same.
    n_candidates (int): Candidates to list for each mention.
    aliases (dict[str, str]): The codes of phrases and abbreviations of your own place.
    RETURNS (OpenMedHCC): The component.
    """
    component = OpenMedHCC(
        nlp.vocab,
        name,
        labels=labels,
        span_keys=span_keys,
        threshold=threshold,
        n_candidates=n_candidates,
        aliases=aliases,
    )
    return watch(component, nlp)


class Link(NamedTuple):
    """A mention and the codes that it may mean.

    mention (Span): The mention.
    name (Span): The words that were looked up: the mention, or more.
    candidates (list[Candidate]): The codes, the best first.
    """

    mention: Span
    name: Span
    candidates: list[Candidate]


class OpenMedHCC(SerializableComponent):
    """Set `span._.icd10cm`, the candidates of each mention, `doc._.hcc`, the codes that were
    taken, and `doc._.hcc_unlinked`, the mentions without one.

    The settings are those of the factory, `make_openmed_hcc`.
    """

    # So that a pipeline gives the same codes whatever release of the vocabulary is installed.
    filename = "vocabulary"

    def __init__(
        self,
        vocab: Vocab,
        name: str = "openmed_hcc",
        *,
        labels: Sequence[str] = LABELS,
        span_keys: Sequence[str] = SimpleFrozenList(["openmed"]),
        threshold: float = 0.1,
        n_candidates: int = 5,
        aliases: Mapping[str, str] = SimpleFrozenDict(),
    ) -> None:
        super().__init__(vocab, name)
        if not 0 <= threshold <= 1:
            raise ValueError(Errors.OM330.format(threshold=threshold))
        if n_candidates < 1:
            raise ValueError(Errors.OM338.format(n=n_candidates))
        register_extensions()
        self.ent_labels = frozenset(canonical_label(label) for label in labels)
        self.span_keys = tuple(span_keys)
        self.threshold = threshold
        self.n_candidates = n_candidates
        self.aliases = dict(aliases)
        self._vocabulary: Vocabulary | None = None
        self._linker: Linker | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_linker": None}  # made again from the vocabulary

    @property
    def vocabulary(self) -> Vocabulary:
        """RETURNS (Vocabulary): The codes: those saved with the component, else those of the
        installed simple-icd-10-cm, with the aliases of the settings."""
        if self._vocabulary is None:
            self._vocabulary = add_aliases(read_vocabulary(), self.aliases)
        return self._vocabulary

    @property
    def linker(self) -> Linker:
        """RETURNS (Linker): The linker, made when it is first needed."""
        if self._linker is None:
            self._linker = make_linker(self.vocabulary)
        return self._linker

    def predict(self, doc: Doc) -> list[Link]:
        """Find the codes that each mention may mean.

        doc (Doc): The document. It gets sentence starts if it has none.
        RETURNS (list[Link]): The mentions with their codes, in the order of the names.
        """
        need = Need(" or ".join(sorted(self.ent_labels)), self._is_linked)
        warn_if_idle(self, doc, self.span_keys, [need], add='openmed_ner with domain = "disease"')
        warn_without(self, doc, SKIPPED[0], Warnings.OM339)
        set_sentence_starts(doc)
        mentions, skipped = self.find_mentions(doc)
        names = [self.widen(mention, mentions, skipped) for mention in mentions]
        links = [
            Link(mention, name, self.linker.link(name.text, self.n_candidates))
            for mention, name in zip(mentions, names, strict=True)
        ]
        return sorted(links, key=lambda link: (link.name.start, -link.name.end))

    def set_annotations(self, doc: Doc, found: Sequence[Link]) -> None:
        """Set the candidates of each mention, and the codes of the document.

        doc (Doc): The document.
        found (Sequence[Link]): The mentions with their codes, in the order of the names.
        """
        linked, unlinked = [], []
        end = 0
        for mention, name, candidates in found:
            mention._.icd10cm = [candidate._asdict() for candidate in candidates]
            if name.end <= end:  # a part of the name before it
                continue
            end = name.end
            place = {
                "start": name.start_char,
                "end": name.end_char,
                "sentence": [name.sent.start_char, name.sent.end_char],
                "historical": _is(mention, HISTORICAL),
            }
            if candidates and candidates[0].score >= self.threshold:
                linked.append({**_describe(candidates[0]), **place})
            else:
                unlinked.append({**place, "candidates": mention._.icd10cm})
        doc._.hcc, doc._.hcc_unlinked = linked, unlinked

    def find_mentions(self, doc: Doc) -> tuple[list[Span], list[Span]]:
        """Find what is to be linked.

        doc (Doc): The document.
        RETURNS (tuple[list[Span], list[Span]]): The entities with the labels that are of the
            patient, and neither denied nor only possible: the longest, without overlaps; and
            those that are not. What overlaps one of these is not linked either.
        """
        spans = [*doc.ents, *(span for key in self.span_keys for span in doc.spans.get(key, ()))]
        spans = [span for span in spans if self._is_linked(span.label_)]
        skipped = [span for span in spans if _is_skipped(span)]
        return [span for span in util.filter_spans(spans) if not _overlaps(span, skipped)], skipped

    def _is_linked(self, label: str) -> bool:
        return canonical_label(label) in self.ent_labels

    def widen(self, mention: Span, mentions: Sequence[Span], skipped: Sequence[Span]) -> Span:
        """Take in the words around a mention with which it is the name of a code: "stage 3b" of
        "CKD stage 3b", "history of" of "history of MI".

        mention (Span): The mention.
        mentions (Sequence[Span]): All mentions of the document.
        skipped (Sequence[Span]): What is not to be linked.
        RETURNS (Span): The longest such name in its sentence, else the mention. It begins before
            no other mention's start, and takes in nothing that is not to be linked.
        """
        doc, sentence = mention.doc, mention.sent
        starts = {other.start for other in mentions}
        first = max(sentence.start, mention.start - WIDEST)
        last = max(min(sentence.end, mention.end + WIDEST), mention.end)
        windows = sorted(
            (start - end, start, end)
            for start in range(first, mention.start + 1)
            for end in range(mention.end, last + 1)
            if starts.isdisjoint(range(start, mention.start))
            and (start == mention.start or _is_word(doc[start]))
            and (end == mention.end or _is_word(doc[end - 1]))
        )
        for _, start, end in windows:
            window = doc[start:end]
            if self.linker.is_name(window.text) and not _overlaps(window, skipped):
                return window
        return mention

    def _dump(self) -> bytes:
        return srsly.msgpack_dumps(self.vocabulary.to_rows())

    def _load(self, data: bytes) -> None:
        rows = srsly.msgpack_loads(data)
        self._vocabulary = add_aliases(Vocabulary.from_rows(rows), self.aliases)
        self._linker = None


def alias_patterns(label: str = "DISEASE") -> list[dict[str, Any]]:
    """Make patterns of our own aliases for spaCy's `entity_ruler`, which finds the abbreviations
    that a model may miss. Abbreviations are found in their own case only, and not at all if they
    mostly mean something else.

    label (str): The label of what is found.
    RETURNS (list[dict[str, Any]]): The patterns, for `phrase_matcher_attr = "LOWER"`.
    """
    patterns: list[dict[str, Any]] = []
    for alias in read_aliases():
        is_short = " " not in alias and sum(map(str.isupper, alias)) > 1
        # A mention takes in what follows "with", if the alias has it: see `OpenMedHCC.widen`.
        if alias not in AMBIGUOUS and " with " not in alias:
            patterns.append({"label": label, "pattern": [{"ORTH": alias}] if is_short else alias})
    return patterns


def add_hcc_pipes(
    nlp: Language, *, size: str = "mini", settings: Mapping[str, Any] = SimpleFrozenDict()
) -> OpenMedHCC:
    """Add all components that go from a note to its codes: aliases by an `entity_ruler`, a model,
    the clinical context, and `openmed_hcc`.

    nlp (Language): The pipeline.
    size (str): Size of the model for diseases.
    settings (Mapping[str, Any]): Settings of `openmed_hcc`.
    RETURNS (OpenMedHCC): The last component.
    """
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns(alias_patterns())  # type: ignore[attr-defined]
    nlp.add_pipe("openmed_ner", config={"domain": "disease", "size": size})
    nlp.add_pipe("openmed_context")
    return nlp.add_pipe("openmed_hcc", config=dict(settings))  # type: ignore[return-value]


def find_hccs(code: str, model: str) -> list[str]:
    """Find the categories of a code, before any hierarchy.

    code (str): A code of ICD-10-CM.
    model (str): "v24" or "v28".
    RETURNS (list[str]): The numbers of its categories; none: it does not count for risk.
    RAISES (ImportError): If the extra `hcc` is not installed.
    RAISES (ValueError): If there is no such model.
    """
    if model not in MODELS:
        raise ValueError(Errors.OM334.format(model=model, known=", ".join(MODELS)))
    return sorted(_load_hccs().get((code.replace(".", ""), MODELS[model]), ()))


def patient_report(
    docs: Iterable[Doc],
    *,
    patient: str = "",
    demographics: Mapping[str, Any] | None = None,
    historical: bool = False,
) -> dict[str, Any]:
    """Put the codes of a patient's notes together: the categories of CMS-HCC V24 and V28 after
    hierarchies, the risk score, and what each code rests on.

    docs (Iterable[Doc]): The notes, with `doc._.hcc`.
    patient (str): Who it is.
    demographics (Mapping[str, Any] | None): What `hccinfhir.Demographics` takes: "age", "sex" and
        others. None: there is no risk score.
    historical (bool): Whether codes count that are mentioned as history only. They are listed
        either way; codes of status and history (Z) count.
    RETURNS (dict[str, Any]): The report, of plain values.
    RAISES (ValueError): If a document has not gone through `openmed_hcc`, or for demographics
        that are none.
    """
    codes: dict[str, dict[str, Any]] = {}
    unlinked = []
    register_extensions()
    for number, doc in enumerate(docs):
        if doc._.hcc is None:
            raise ValueError(Errors.OM332)
        for found in doc._.hcc:
            row = codes.setdefault(
                found["code"],
                {key: found[key] for key in ("code", "description", *_keys())}
                | {"counted": False, "evidence": []},
            )
            row["evidence"].append(_to_evidence(doc, number, found, ("score", "how")))
            is_status = found["code"].startswith("Z")
            row["counted"] |= historical or is_status or not found["historical"]
        unlinked += [_to_evidence(doc, number, f, ("candidates",)) for f in doc._.hcc_unlinked]
    counted = [code for code, row in codes.items() if row["counted"]]
    return {
        "notice": NOTICE,
        "patient": patient,
        "demographics": dict(demographics) if demographics is not None else None,
        "models": {name: calculate(counted, name, demographics) for name in MODELS},
        "codes": [codes[code] for code in sorted(codes)],
        "unlinked": unlinked,
    }


def calculate(
    codes: Iterable[str], model: str, demographics: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Calculate categories and the risk score as hccinfhir does.

    codes (Iterable[str]): The codes.
    model (str): "v24" or "v28".
    demographics (Mapping[str, Any] | None): See `patient_report`.
    RETURNS (dict[str, Any]): "raf", the score, "coefficients", what it is the sum of (both None
        without demographics), and "hccs": each with its label, coefficient and codes.
    RAISES (ValueError): For demographics that are none.
    """
    codes = sorted({code.upper() for code in codes})
    calculator = _load_calculator(model)
    from hccinfhir import Demographics
    from pydantic import ValidationError

    is_known = demographics is not None
    # Categories do not depend on age and sex, but for a few edits.
    given: Mapping[str, Any] = demographics if demographics is not None else DEFAULT
    try:
        person = Demographics(**given)
    except ValidationError as error:
        fields = ", ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
        raise ValueError(Errors.OM333.format(error=fields)) from None
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


def _keys() -> Iterator[str]:
    return (f"hcc_{model}" for model in MODELS)


def _describe(candidate: Candidate) -> dict[str, Any]:
    hccs = {f"hcc_{model}": find_hccs(candidate.code, model) for model in MODELS}
    return {**candidate._asdict(), **hccs}


def _to_evidence(
    doc: Doc, number: int, found: Mapping[str, Any], keys: Sequence[str]
) -> dict[str, Any]:
    start, end = found["sentence"]
    return {
        "document": number,
        "start": found["start"],
        "end": found["end"],
        "mention": doc.text[found["start"] : found["end"]],
        "sentence_start": start,
        "sentence_end": end,
        "sentence": doc.text[start:end].strip(),
        "historical": found["historical"],
        **{key: found[key] for key in keys},
    }


def _is_word(token: Token) -> bool:
    return not (token.is_punct or token.is_space)


def _is_skipped(span: Span) -> bool:
    return any(_is(span, name) for name in SKIPPED)


def _overlaps(span: Span, others: Iterable[Span]) -> bool:
    return any(span.start < other.end and other.start < span.end for other in others)


def _is(span: Span, name: str) -> bool:
    return bool(span._.get(name))


@cache
def _load_hccs() -> dict[tuple[str, str], set[str]]:
    with _importing_hccinfhir():
        from hccinfhir.defaults import dx_to_cc_default
    return dx_to_cc_default


@cache
def _load_calculator(model: str) -> Any:
    if model not in MODELS:
        raise ValueError(Errors.OM334.format(model=model, known=", ".join(MODELS)))
    with _importing_hccinfhir():
        from hccinfhir import HCCInFHIR

        return HCCInFHIR(model_name=MODELS[model])  # type: ignore[arg-type]


@contextmanager
def _importing_hccinfhir() -> Iterator[None]:
    """Without the warnings of how it finds its tables (importlib.resources.path)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
        except ImportError as error:
            raise missing_extra("hcc", error) from error
