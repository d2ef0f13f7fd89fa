"""The component `openmed_hcc`: ICD-10-CM and HCC codes of diagnoses, for a coder to review.

It supports coders and does not replace them: it ranks codes and shows the evidence for each. It
does not check the rules for encounters and providers, or whether the note supports a diagnosis.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import srsly
from spacy import util
from spacy.language import Language
from spacy.tokens import Doc, Span, Token
from spacy.util import SimpleFrozenDict, SimpleFrozenList
from spacy.vocab import Vocab

from ..components import SerializableComponent
from ..errors import Warnings
from ..extensions import register_extensions
from ..idle import Need, warn_if_idle, warn_without, watch
from ..labels import canonical_label
from ..sentences import set_sentence_starts
from ..settings import check_count, check_names, check_probability
from .icd10cm import Vocabulary, add_aliases, read_vocabulary
from .linking import Candidate, Linker, make_linker
from .patterns import AMBIGUOUS_ID, LABELS, SPAN_KEYS, alias_patterns, hcc_patterns
from .revised import Revised
from .risk import MODELS, find_hccs
from .rules import Rules, to_family
from .status import ALLERGY, METASTASIS, STATUS, find_status
from .surroundings import (
    is_allergy,
    is_final,
    is_leading,
    is_no_code,
    is_of_family,
    stands_alone,
)

SPLITTING = ("with", "w/", "on", "and", "&", "from")  # words that may join two names
SKIPPED = ("is_negated", "is_family", "is_hypothetical")
HISTORICAL, UNCERTAIN = "is_historical", "is_hypothetical"
RULE = "rule"  # how a code was found: by `rules`
WIDEST = (5, 12)  # tokens before and after a mention


@Language.factory(
    "openmed_hcc",
    requires=["doc.ents"],
    assigns=["doc._.hcc", "doc._.hcc_unlinked", "span._.icd10cm"],
    default_config={
        "labels": list(LABELS),
        "span_keys": list(SPAN_KEYS),
        "threshold": 0.2,
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
    threshold (float): Minimum score of a code. A mention whose best code scores lower gets none,
        but its candidates are still listed.
    n_candidates (int): Candidates to list for each mention.
    aliases (dict[str, str]): The codes of local phrases and abbreviations.
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
    codes (list[tuple[Candidate, str]]): The codes that were assigned, each with the source of its
        rule, if a rule assigned it.
    is_dropped (bool): Whether another mention's code covers it.
    is_symptom (bool): Whether it is a symptom outside a list.
    is_historical (bool): Whether it is mentioned as history.
    """

    mention: Span
    name: Span
    candidates: list[Candidate]
    codes: list[tuple[Candidate, str]]
    is_dropped: bool = False
    is_symptom: bool = False
    is_historical: bool = False


class OpenMedHCC(SerializableComponent):
    """Set `span._.icd10cm`, the candidates of each mention, `doc._.hcc`, the assigned codes, and
    `doc._.hcc_unlinked`, the mentions without a code.

    The settings are those of the factory, `make_openmed_hcc`.
    """

    # Saved, so that a pipeline's codes do not depend on the installed release of the vocabulary.
    filename = "vocabulary"

    def __init__(
        self,
        vocab: Vocab,
        name: str = "openmed_hcc",
        *,
        labels: Sequence[str] = LABELS,
        span_keys: Sequence[str] = SimpleFrozenList(SPAN_KEYS),
        threshold: float = 0.2,
        n_candidates: int = 5,
        aliases: Mapping[str, str] = SimpleFrozenDict(),
    ) -> None:
        super().__init__(vocab, name)
        check_probability("threshold", threshold)
        check_count("n_candidates", n_candidates)
        register_extensions()
        self.ent_labels = frozenset(map(canonical_label, check_names("labels", labels)))
        self.span_keys = check_names("span_keys", span_keys)
        self.threshold = threshold
        self.n_candidates = n_candidates
        self.aliases = dict(aliases)
        self._vocabulary: Vocabulary | None = None
        self._linker: Linker | None = None
        self._rules: Rules | None = None

    def __getstate__(self) -> dict[str, Any]:
        # These two are made again from the vocabulary.
        return {**super().__getstate__(), "_linker": None, "_rules": None}

    @property
    def vocabulary(self) -> Vocabulary:
        """RETURNS (Vocabulary): The codes saved with the component, or else those of the installed
        simple-icd-10-cm with the aliases of the settings."""
        if self._vocabulary is None:
            self._vocabulary = add_aliases(read_vocabulary(), self.aliases)
        return self._vocabulary

    @property
    def linker(self) -> Linker:
        """RETURNS (Linker): The linker, made at first use."""
        if self._linker is None:
            self._linker = make_linker(self.vocabulary)
        return self._linker

    @property
    def rules(self) -> Rules:
        """RETURNS (Rules): The rules, made at first use."""
        if self._rules is None:
            self._rules = Rules(self.vocabulary)
        return self._rules

    def predict(self, doc: Doc) -> list[Link]:
        """Find the codes that each mention may mean.

        doc (Doc): The document. It gets sentence starts if it has none.
        RETURNS (list[Link]): The mentions with their codes, in the order of the names.
        """
        need = Need(" or ".join(sorted(self.ent_labels)), self._is_linked)
        warn_if_idle(self, doc, self.span_keys, [need], add='openmed_ner with domain = "disease"')
        warn_without(self, doc, SKIPPED[0], Warnings.OM912)
        set_sentence_starts(doc)
        mentions, skipped = self.find_mentions(doc)
        diseases = [mention for mention in mentions if mention.label_ != STATUS]
        rows = [(mention, part) for mention in diseases for part in self._split(mention)]
        starts = {span.start for span in (*mentions, *(part for _, part in rows))}
        blocked = {i for span in skipped for i in range(span.start, span.end)}
        names = [self.widen(part, starts, blocked) for _, part in rows]
        linked = self.linker.link_all([name.text for name in names], self.n_candidates)
        links = [
            Link(mention, name, found, [])
            for (mention, _), name, found in zip(rows, names, linked, strict=True)
        ]
        for status in mentions:
            if status.label_ == STATUS:
                links += [
                    Link(status, status, [self._to_candidate(code, STATUS.lower())], [])
                    for code in find_status(status, self.vocabulary)
                ]
        links += self._link_family(skipped)
        links.sort(key=lambda link: (link.name.start, -link.name.end))
        return self._revise(doc, list(_drop_parts(links)))

    def _link_family(self, skipped: Iterable[Span]) -> list[Link]:
        """Find the codes of diseases in the family. They are listed as history."""
        mentions = util.filter_spans([span for span in skipped if is_of_family(span)])
        linked = self.linker.link_all([mention.text for mention in mentions], 1)
        links = []
        for mention, candidates in zip(mentions, linked, strict=True):
            best = self._best(candidates)
            code = best and to_family(best)
            if code:
                found = [self._to_candidate(code, RULE)]
                links.append(Link(mention, mention, found, [], is_historical=True))
        return links

    def _revise(self, doc: Doc, links: Sequence[Link]) -> list[Link]:
        """Assign the best code to each mention, and let the rules revise the codes."""
        found = [
            Revised(
                link.name,
                self._best(link.candidates),
                link.is_historical or _is(link.mention, HISTORICAL),
                score=link.candidates[0].score if link.candidates else 0.0,
            )
            for link in links
        ]
        # Parts of other names, and mentions without candidates, take no part in the rules.
        self.rules.revise(
            doc,
            [
                one
                for one, link in zip(found, links, strict=True)
                if link.candidates and not link.is_dropped
            ],
        )
        revised = []
        for link, one in zip(links, found, strict=True):
            codes = []
            if one.code is not None:
                same = one.code == self._best(link.candidates)
                first = link.candidates[0] if same else self._to_candidate(one.code, RULE)
                codes = [(first, "" if same else one.rule)]
                also = {code: rule for code, rule in one.also if code != one.code}
                codes += [(self._to_candidate(code, RULE), rule) for code, rule in also.items()]
            is_dropped = link.is_dropped or one.is_dropped
            revised.append(
                link._replace(
                    codes=codes,
                    is_dropped=is_dropped,
                    is_symptom=one.is_symptom,
                    is_historical=one.is_historical,
                )
            )
        return revised

    def _best(self, candidates: Sequence[Candidate]) -> str | None:
        if candidates and candidates[0].score >= self.threshold:
            return candidates[0].code
        return None

    def _to_candidate(self, code: str, how: str) -> Candidate:
        return Candidate(code, self.vocabulary.describe(code), 1.0, how)

    def set_annotations(self, doc: Doc, found: Sequence[Link]) -> None:
        """Set the candidates of each mention, and the codes of the document.

        doc (Doc): The document.
        found (Sequence[Link]): The mentions with their codes, in the order of the names.
        """
        linked, unlinked = [], []
        for link in found:
            link.mention._.icd10cm = []
        for link in found:
            candidates = [candidate._asdict() for candidate in link.candidates]
            link.mention._.icd10cm = [*link.mention._.icd10cm, *candidates]
            if link.is_dropped:
                continue
            name, sentence = link.name, link.name.sent
            place = {
                "start": name.start_char,
                "end": name.end_char,
                "sentence": [sentence.start_char, sentence.end_char],
                "historical": link.is_historical,
            }
            for candidate, rule in link.codes:
                extra = {"symptom": link.is_symptom, "rule": rule}
                linked.append({**_describe(candidate), **place, **extra})
            if not link.codes:
                unlinked.append({**place, "candidates": candidates})
        doc._.hcc, doc._.hcc_unlinked = linked, unlinked

    def find_mentions(self, doc: Doc) -> tuple[list[Span], list[Span]]:
        """Find the mentions to link.

        doc (Doc): The document.
        RETURNS (tuple[list[Span], list[Span]]): The entities with one of the labels that are the
            patient's and neither denied nor only possible (the longest, without overlaps), and the
            other entities. Whatever overlaps one of the latter is not linked either.
        """
        spans = [*(span for key in self.span_keys for span in doc.spans.get(key, ())), *doc.ents]
        spans = [span for span in spans if self._is_linked(span.label_) and not span.text.isspace()]
        skipped = [span for span in spans if _is_skipped(span)]
        blocked = {i for span in skipped for i in range(span.start, span.end)}
        kept = [
            span
            for span in spans
            if blocked.isdisjoint(range(span.start, span.end))
            # the drug in "sulfa (hives)", where the hives are history
            or (span.id_.startswith(ALLERGY) and not _is_skipped(span))
        ]
        # These are left out, but do not block a model's mention in the same place.
        kept = [span for span in kept if not _means_something_else(span)]
        no_code: list[Span] = []
        named: list[Span] = []
        for span in kept:
            (no_code if is_no_code(span) else named).append(span)
        # "metastatic to bone" says more than the disease inside it.
        sites = [span for span in named if span.id_ == METASTASIS]
        named = [_cut_before(span, sites) for span in named]
        kept = [
            s for s in named if s.id_ == METASTASIS or not any(_is_in(s, site) for site in sites)
        ]
        kept = self._drop_compounds(kept)
        sites = util.filter_spans(sites)
        # A status takes precedence over a model's mention of the same words.
        others = [span for span in kept if span.id_ != METASTASIS]
        others = util.filter_spans(sorted(others, key=lambda span: span.label_ != STATUS))
        return sorted([*sites, *others]), [*skipped, *no_code]

    def _split(self, span: Span) -> list[Span]:
        """RETURNS (list[Span]): The mention; or, if it is not a known name, the two names that it
        joins, for the rules to combine: "DM2" and "nephropathy" of "DM2 w/ nephropathy"."""
        places = [token.i for token in span if token.lower_ in SPLITTING]
        if len(places) != 1 or self.linker.find_known(span.text):
            return [span]
        parts = [span.doc[span.start : places[0]], span.doc[places[0] + 1 : span.end]]
        are_names = all(len(part) and self.linker.is_name(part.text) for part in parts)
        return parts if are_names else [span]

    def _drop_compounds(self, spans: Iterable[Span]) -> list[Span]:
        """Drop mentions that are not a known name but contain a status or several names: the rules
        combine the parts of "diabetes with CKD 3"."""
        ordered = sorted(spans, key=lambda span: span.start)
        starts = [span.start for span in ordered]
        is_status = [span.label_ == STATUS or span.id_ == METASTASIS for span in ordered]
        is_name = [self.linker.is_name(span.text) for span in ordered]
        kept = []
        for i, span in enumerate(ordered):
            if not (is_status[i] or is_name[i]):
                inside = range(bisect_left(starts, span.start), bisect_left(starts, span.end))
                parts = [j for j in inside if j != i and ordered[j].end <= span.end]
                names = util.filter_spans([ordered[j] for j in parts if is_name[j]])
                if len(names) > 1 or any(is_status[j] for j in parts):
                    continue
            kept.append(span)
        return kept

    def _is_linked(self, label: str) -> bool:
        return canonical_label(label) in self.ent_labels

    def widen(self, mention: Span, starts: Set[int], blocked: Set[int]) -> Span:
        """Widen a mention by surrounding words that make it the name of a code: "stage 3b" in "CKD
        stage 3b", "history of" in "history of MI".

        mention (Span): The mention.
        starts (Set[int]): The first tokens of all mentions of the document.
        blocked (Set[int]): The tokens of entities that are not linked.
        RETURNS (Span): The longest such name in its sentence. Without one, the mention, with the
            words of severity and side before it if the mention is not a name. It neither reaches
            back over the start of another mention nor takes in blocked tokens.
        """
        doc, sentence = mention.doc, mention.sent
        first = max(sentence.start, mention.start - WIDEST[0])
        last = max(min(sentence.end, mention.end + WIDEST[1]), mention.end)
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
            if blocked.isdisjoint(range(start, end)) and self.linker.is_name(window.text):
                return window
        if self.linker.find_known(mention.text):
            return mention
        start = mention.start
        taken = starts | blocked
        while start > first and start - 1 not in taken and is_leading(doc[start - 1].text):
            start -= 1
        return doc[start : mention.end]

    def _dump(self) -> bytes:
        return srsly.msgpack_dumps(self.vocabulary.to_rows())

    def _load(self, data: bytes) -> None:
        rows = srsly.msgpack_loads(data)
        self._vocabulary = add_aliases(Vocabulary.from_rows(rows), self.aliases)
        self._linker = self._rules = None


def add_hcc_pipes(
    nlp: Language, *, size: str = "mini", settings: Mapping[str, Any] = SimpleFrozenDict()
) -> OpenMedHCC:
    """Add all components needed to code a note: an `entity_ruler` for aliases, a `span_ruler` for
    status codes, a model, the clinical context, and `openmed_hcc`.

    nlp (Language): The pipeline.
    size (str): Size of the model for diseases.
    settings (Mapping[str, Any]): Settings of `openmed_hcc`.
    RETURNS (OpenMedHCC): The last component.
    """
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns(alias_patterns())  # type: ignore[attr-defined]
    spans = nlp.add_pipe(
        "span_ruler", config={"spans_key": SPAN_KEYS[1], "phrase_matcher_attr": "LOWER"}
    )
    spans.add_patterns(hcc_patterns())  # type: ignore[attr-defined]
    nlp.add_pipe("openmed_ner", config={"domain": "disease", "size": size})
    nlp.add_pipe("openmed_context", config={"span_keys": list(SPAN_KEYS)})
    return nlp.add_pipe("openmed_hcc", config=dict(settings))  # type: ignore[return-value]


def _describe(candidate: Candidate) -> dict[str, Any]:
    hccs = {f"hcc_{model}": find_hccs(candidate.code, model) for model in MODELS}
    return {**candidate._asdict(), **hccs}


def _drop_parts(links: Iterable[Link]) -> Iterator[Link]:
    """Drop names that are part of the one before. All names of a status are kept, as it may have
    several codes, and so is a name that only the widened name took in ("CAD s/p CABG")."""
    end, last = 0, None
    for link in links:
        is_beside = last is not None and link.mention.start >= last.end
        is_status = link.mention.label_ == STATUS
        is_part = (
            link.name.end <= end and link.mention is not last and not (is_status and is_beside)
        )
        if not is_part:
            end, last = max(end, link.name.end), link.mention
        yield link._replace(is_dropped=is_part)


def _means_something_else(span: Span) -> bool:
    """Whether a pattern matched an ambiguous abbreviation, or an allergen outside an allergy."""
    if span.id_ == AMBIGUOUS_ID:
        return not stands_alone(span)
    return span.id_.startswith(ALLERGY) and not is_allergy(span)


def _cut_before(span: Span, sites: Iterable[Span]) -> Span:
    """Cut off what belongs to the metastases: "breast cancer metastatic" before "to bone"."""
    start = next((s.start for s in sites if span.start < s.start < span.end < s.end), None)
    return span if start is None else span.doc[span.start : start]


def _is_in(span: Span, other: Span) -> bool:
    return other.start <= span.start and span.end <= other.end


def _is_word(token: Token) -> bool:
    return not (token.is_punct or token.is_space)


def _is_skipped(span: Span) -> bool:
    axes = [name for name in SKIPPED if _is(span, name)]
    return bool(axes) and not (axes == [UNCERTAIN] and is_final(span))


def _is(span: Span, name: str) -> bool:
    return bool(span._.get(name))
