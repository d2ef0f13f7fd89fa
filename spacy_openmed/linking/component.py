"""The component `openmed_linker`: links entities to the concepts of vocabularies."""

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from spacy import util
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import SimpleFrozenDict, SimpleFrozenList
from spacy.vocab import Vocab

from ..components import RuleComponent
from ..errors import Errors
from ..extensions import register_extensions
from ..idle import warn_if_idle, watch
from ..labels import DETAILS, PERSONAL, canonical_label
from ..settings import check_count, check_names, check_probability
from ..spans import set_ids
from .knowledge import KnowledgeBase
from .mentions import expand, find_long_forms
from .ranking import Candidate, Linker, Mention
from .vocabulary import Vocabulary, open_vocabulary

NOT_LINKED = {*PERSONAL, *DETAILS}  # labels that are linked only if `labels` names them
FOLDER = "vocabularies"
ADD = "openmed_ner"


@Language.factory(
    "openmed_linker",
    requires=["doc.ents"],
    assigns=["token.ent_kb_id", "span._.kb_ents"],
    default_config={
        "vocabulary": None,
        "labels": {},
        "threshold": 0.5,
        "n_candidates": 5,
        "resolve_abbreviations": True,
        "span_keys": ["openmed"],
        "save_vocabulary": True,
    },
)
def make_openmed_linker(
    nlp: Language,
    name: str,
    vocabulary: str | None,
    labels: dict[str, str],
    threshold: float,
    n_candidates: int,
    resolve_abbreviations: bool,
    span_keys: list[str],
    save_vocabulary: bool,
) -> "OpenMedLinker":
    """Make a component that links entities to the concepts of a vocabulary.

    nlp (Language): The pipeline.
    name (str): Name of the component.
    vocabulary (str | None): The vocabulary: a folder, a file, "icd10cm" or "hpo" (see
        `open_vocabulary`). None: only the labels of `labels` are linked.
    labels (dict[str, str]): Other vocabularies for the entities of some labels.
    threshold (float): Minimum probability of a concept, from 0 to 1. Entities without a concept
        that reaches it are not linked.
    n_candidates (int): How many concepts to keep for each entity at most.
    resolve_abbreviations (bool): Whether to link abbreviations by the long form that the document
        gives.
    span_keys (list[str]): Groups in doc.spans to link beside doc.ents.
    save_vocabulary (bool): Whether the vocabularies are saved with the component. If not, a
        loaded pipeline needs them at the same paths.
    RETURNS (OpenMedLinker): The component.
    """
    component = OpenMedLinker(
        nlp.vocab,
        name,
        vocabulary=vocabulary,
        labels=labels,
        threshold=threshold,
        n_candidates=n_candidates,
        resolve_abbreviations=resolve_abbreviations,
        span_keys=span_keys,
        save_vocabulary=save_vocabulary,
    )
    return watch(component, nlp)


class Link(NamedTuple):
    """An entity and the concepts that it may mean.

    span (Span): The entity.
    candidates (list[Candidate]): The concepts that reach the threshold, the best first.
    """

    span: Span
    candidates: list[Candidate]


class OpenMedLinker(RuleComponent):
    """Set `ent.kb_id_`, the best concept of each entity, and `span._.kb_ents`, a list of
    (id, probability) in the format of scispaCy's linker. Entities that already have an id keep it.

    The settings are those of the factory, `make_openmed_linker`.
    """

    def __init__(
        self,
        vocab: Vocab,
        name: str = "openmed_linker",
        *,
        vocabulary: str | Path | None = None,
        labels: Mapping[str, str] = SimpleFrozenDict(),
        threshold: float = 0.5,
        n_candidates: int = 5,
        resolve_abbreviations: bool = True,
        span_keys: Sequence[str] = SimpleFrozenList(("openmed",)),
        save_vocabulary: bool = True,
    ) -> None:
        super().__init__(vocab, name)
        if vocabulary is None and not labels:
            raise ValueError(Errors.OM611.format(name=name))
        check_probability("threshold", threshold)
        check_count("n_candidates", n_candidates)
        register_extensions("openmed_linker")
        self.vocabulary = None if vocabulary is None else str(vocabulary)
        self.label_vocabularies = {
            canonical_label(key): str(value) for key, value in labels.items()
        }
        self.threshold = threshold
        self.n_candidates = n_candidates
        self.resolve_abbreviations = resolve_abbreviations
        self.span_keys = check_names("span_keys", span_keys)
        self.save_vocabulary = save_vocabulary
        # Opened at first use: from_disk may bring its own.
        self._linkers: dict[str, Linker] = {}

    @property
    def sources(self) -> list[str]:
        """RETURNS (list[str]): The vocabularies, as named in the settings."""
        return sorted({*self.label_vocabularies.values(), *filter(None, [self.vocabulary])})

    @property
    def kb(self) -> KnowledgeBase:
        """RETURNS (KnowledgeBase): The concepts by their ids, `kb.cui_to_entity`, and the ids by
        names, `kb.alias_to_cuis`."""
        return KnowledgeBase([self._get_linker(name).vocabulary for name in self.sources])

    def predict(self, doc: Doc) -> list[Link]:
        """Find the concepts of a document's entities.

        doc (Doc): The document.
        RETURNS (list[Link]): The entities that have any, those of doc.ents last.
        """
        warn_if_idle(self, doc, self.span_keys, add=ADD)
        spans = [span for key in self.span_keys for span in doc.spans.get(key, ())]
        spans.extend(doc.ents)
        long_forms: dict[str, str] = {}
        if self.resolve_abbreviations:
            places = [(span.start_char, span.end_char) for span in spans]
            long_forms = find_long_forms(doc.text, places)
        by_source: dict[str, list[int]] = {}
        for number, span in enumerate(spans):
            source = self._get_source(span.label_)
            if source is not None:
                by_source.setdefault(source, []).append(number)
        found: dict[int, Link] = {}
        for source, numbers in by_source.items():
            own = [spans[number] for number in numbers]
            mentions = [Mention(expand(span.text, long_forms), span.label_) for span in own]
            linked = self._get_linker(source).link(mentions, self.n_candidates)
            for number, span, candidates in zip(numbers, own, linked, strict=True):
                kept = [c for c in candidates if c.score >= self.threshold]
                if kept:
                    found[number] = Link(span, kept)
        return [found[number] for number in sorted(found)]

    def set_annotations(self, doc: Doc, found: Sequence[Link]) -> None:
        """Set ids in doc.ents and in the groups, and `span._.kb_ents`.

        doc (Doc): The document.
        found (Sequence[Link]): What `predict` returned.
        """
        ids = {}
        for link in found:
            # Entities with the same tokens share the attribute; doc.ents come last and win.
            link.span._.kb_ents = [tuple(candidate) for candidate in link.candidates]
            ids[link.span.start, link.span.end, link.span.label] = link.candidates[0].id
        set_ids(doc, self.span_keys, ids)

    def _get_source(self, label: str) -> str | None:
        canonical = canonical_label(label)
        source = self.label_vocabularies.get(canonical)
        if source is None and canonical not in NOT_LINKED:
            source = self.vocabulary
        return source

    def _get_linker(self, source: str) -> Linker:
        if source not in self._linkers:
            self._linkers[source] = Linker(open_vocabulary(source))
        return self._linkers[source]

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = SimpleFrozenList()) -> None:
        """Save the component to a folder, with its vocabularies unless `save_vocabulary` is off.

        path (str | Path): The component's folder.
        exclude (Iterable[str]): "vocabularies", to leave them out.

        DOCS: https://spacy.io/api/pipe#to_disk
        """
        writers = {FOLDER: self._write} if self.save_vocabulary else {}
        Path(path).mkdir(parents=True, exist_ok=True)
        util.to_disk(path, writers, exclude)  # type: ignore[arg-type]

    def from_disk(
        self, path: str | Path, *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> "OpenMedLinker":
        """Load the component from a folder. Vocabularies in it take precedence over those that the
        settings name.

        path (str | Path): The component's folder.
        exclude (Iterable[str]): "vocabularies", to leave them out.
        RETURNS (OpenMedLinker): The component.

        DOCS: https://spacy.io/api/pipe#from_disk
        """
        util.from_disk(path, {FOLDER: self._read}, exclude)  # type: ignore[arg-type]
        return self

    def to_bytes(self, *, exclude: Iterable[str] = SimpleFrozenList()) -> bytes:
        """Save the component to bytes, with its vocabularies unless `save_vocabulary` is off.

        exclude (Iterable[str]): "vocabularies", to leave them out.
        RETURNS (bytes): What `from_bytes` takes.

        DOCS: https://spacy.io/api/pipe#to_bytes
        """
        getters = {FOLDER: self._to_files} if self.save_vocabulary else {}
        return util.to_bytes(getters, exclude)  # type: ignore[arg-type]

    def from_bytes(
        self, bytes_data: bytes, *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> "OpenMedLinker":
        """Load the component from bytes. Vocabularies are written to a temporary folder, so that
        they can be mapped into memory.

        bytes_data (bytes): What `to_bytes` returned.
        exclude (Iterable[str]): "vocabularies", to leave them out.
        RETURNS (OpenMedLinker): The component.

        DOCS: https://spacy.io/api/pipe#from_bytes
        """
        util.from_bytes(bytes_data, {FOLDER: self._from_files}, exclude)  # type: ignore[dict-item]
        return self

    def _folder_of(self, source: str) -> str:
        """The name of a vocabulary's folder in the saved component. It comes from what the
        vocabulary is used for: settings may be paths, and may differ when the component is
        loaded."""
        if source == self.vocabulary:
            return "default"
        return min(label for label, name in self.label_vocabularies.items() if name == source)

    def fingerprint(self) -> str:
        """RETURNS (str): A fingerprint of the vocabularies, whether they are saved or not."""
        metas = (self._get_linker(source).vocabulary.meta for source in self.sources)
        return " ".join(str(meta["fingerprint"]) for meta in metas)

    def _write(self, path: Path) -> None:
        for source in self.sources:
            target = path / self._folder_of(source)
            origin = self._get_linker(source).vocabulary.path
            if target.exists() and target.samefile(origin):
                continue
            # Don't overwrite the old files: other processes may have mapped them.
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(origin, target)

    def _read(self, path: Path) -> None:
        for source in self.sources:
            folder = path / self._folder_of(source)
            if folder.exists():
                self._linkers[source] = Linker(Vocabulary(folder))

    def _to_files(self) -> dict[str, dict[str, bytes]]:
        return {
            self._folder_of(source): {
                file.name: file.read_bytes()
                for file in sorted(self._get_linker(source).vocabulary.path.iterdir())
            }
            for source in self.sources
        }

    def _from_files(self, folders: dict[str, dict[str, bytes]]) -> None:
        path = Path(tempfile.mkdtemp(prefix="openmed-vocabularies-"))
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        for name, files in folders.items():
            (path / name).mkdir()
            for file, content in files.items():
                (path / name / file).write_bytes(content)
        self._read(path)
