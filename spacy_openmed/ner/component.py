"""The component: OpenMed's token classifiers as part of a spaCy pipeline."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import srsly
from spacy import util
from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer

from .. import catalogue
from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.heads import Head
from ..errors import Errors, Warnings
from ..labels import asserted_as, canonical_label
from ..settings import (
    CHOICES,
    SWITCHES,
    check_bias,
    check_choice,
    check_switch,
    check_threshold,
    warn_of_labels,
)
from ..spans import Entity, add_assertions, add_spans, set_ents
from .alignment import Buffer
from .assertion import Assertion, find_assertions
from .decoding import LabelScheme, LabelSchemes
from .document import drop_outvoted, mend
from .extraction import Found, find_entities
from .logits import PieceLogits
from .plan import resolve_sizes
from .shim import CheckpointShim
from .stream import Pending, begin, run_ahead
from .targets import cross_entropy, get_tags, label_pieces, read_states

T = TypeVar("T")


# Canonical labels before version 0.2 of types that have another one today.
OLD_LABELS = {
    "SequenceVariant": "SEQUENCEVARIANT",
    **{s: label for label in ("DRUG", "PROBLEM") for s in (label, label.title(), label.lower())},
}


class OpenMedNER(TrainablePipe):
    """Find biomedical entities and write them to `doc.ents` and `doc.spans`.

    The settings are those of the factory, `make_openmed_ner`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], PieceLogits],
        name: str = "openmed_ner",
        *,
        datasets: Sequence[str] = (),
        aggregation_strategy: str = "auto",
        decoding: str = "viterbi",
        alignment_mode: str = "token",
        threshold: float | str = 0.0,
        outside_bias: float | Mapping[str, float] = 0.0,
        trim: bool = True,
        abbreviations: bool = False,
        consistency: bool = False,
        votes: bool = False,
        label_scheme: str = "canonical",
        label_map: Mapping[str, str] = util.SimpleFrozenDict(),
        labels_to_ignore: Sequence[str] = (),
        annotate: str = "both",
        annotate_spans_key: str = "openmed",
        ents_policy: str = "keep",
        scorer: Callable | None = None,
    ) -> None:
        self.vocab = vocab
        self.model = model
        self.name = name
        self.cfg = _empty_cfg()
        self.datasets = tuple(datasets)
        self.aggregation_strategy = aggregation_strategy
        self.decoding = decoding
        self.alignment_mode = alignment_mode
        self.threshold = threshold
        self.outside_bias = outside_bias
        self.trim = trim
        self.abbreviations = abbreviations
        self.consistency = consistency
        self.votes = votes
        self.label_scheme = label_scheme
        self.label_map = dict(label_map)
        self.labels_to_ignore = tuple(labels_to_ignore)
        self.annotate = annotate
        self.annotate_spans_key = annotate_spans_key
        self.ents_policy = ents_policy
        self.scorer = scorer
        self._seen: set[str] = set()  # labels of the data, looked at before
        self._told: set[str] = set()  # labels of the settings that were warned of
        self._counts: Counter[str] = Counter()  # entities predicted, and those that fit no tokens
        self._check_choices()
        self._check_labels(guess=True)

    @property
    def shim(self) -> CheckpointShim:
        """RETURNS (CheckpointShim): The model's hold on its checkpoint."""
        return cast(CheckpointShim, self.model.shims[0])

    @property
    def _trained(self) -> list[str]:
        """The heads that learn; none if the settings were changed since."""
        return self.cfg["trained"] if list(self.datasets) == self.cfg["chosen"] else []

    @property
    def heads(self) -> list[Head]:
        """RETURNS (list[Head]): The heads in use; that for personal data only where it is asked
        for. Reading them does not load the weights."""
        heads = self.shim.heads
        datasets = self.cfg["heads"] if self._trained else self.datasets
        if not datasets or not heads:  # none: nothing is known of it before it is loaded
            return [head for head in heads if head.dataset != catalogue.PRIVACY] or heads
        chosen = [head for head in heads if head.dataset in datasets]
        if chosen:
            return chosen
        if len(heads) == 1 and (
            heads[0].dataset not in catalogue.datasets()  # trained on something else
            or catalogue.stands_in(heads[0].dataset, datasets)
        ):
            return heads
        raise ValueError(
            Errors.OM009.format(
                name=self.shim.name,
                missing=", ".join(datasets),
                heads=", ".join(head.dataset for head in heads),
            )
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): The labels that the component can give."""
        types = [kind for head in self.heads for kind in self._scheme(head).types]
        return tuple(dict.fromkeys(label for t in types if (label := self.label_of(t))))

    def label_of(self, native: str) -> str | None:
        """Name an entity type as configured.

        native (str): The checkpoint's own name.
        RETURNS (str | None): Its label, None if it is to be ignored.
        """
        canonical = canonical_label(native)
        label = canonical if self.label_scheme == "canonical" else native
        label = self.cfg["labels"].get(native, label)
        label = self.label_map.get(native, self.label_map.get(canonical, label))
        return None if {native, canonical, label} & set(self.labels_to_ignore) else label

    def __call__(self, doc: Doc) -> Doc:
        """Apply the component to one document.

        doc (Doc): The document.
        RETURNS (Doc): The same document. None if it failed and the error handler did not raise.

        DOCS: https://spacy.io/api/pipe#call
        """
        try:
            self._check_settings()
        except Exception as error:
            self.get_error_handler()(self.name, self, [doc], error)
            return None  # type: ignore[return-value]
        processed = begin(self, [doc])()
        self._warn_of_dropped()
        # None if the error handler was given the document and did not raise, as in spaCy.
        return processed[0] if processed else None  # type: ignore[return-value]

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Apply the component to a stream of documents.

        A document that can't be processed goes to the error handler alone; the others of its
        batch are processed without it. On CUDA a batch is read and begun before the one before it
        is yielded.

        stream (Iterable[Doc]): The documents.
        batch_size (int): How many to buffer. Forward passes are made up of windows of the whole
            buffer, so a bigger one means less padding; how large they are is set by
            `model.max_batch_tokens`.
        YIELDS (Doc): The documents, in order.

        DOCS: https://spacy.io/api/pipe#pipe
        """
        try:
            for finish in run_ahead(self, stream, batch_size, self._check_settings):
                docs = finish()
                del finish  # and the logits that it holds
                yield from docs
        finally:
            self._warn_of_dropped()

    def _check_settings(self) -> int:
        """Raise what would fail for every document: no checkpoint, or settings that it can't
        follow.

        RETURNS (int): How many batches to begin before the last one is finished.
        """
        self._check_choices()
        checkpoint = self.shim.checkpoint
        if isinstance(checkpoint, Checkpoint):
            resolve_sizes(self.model, checkpoint)
            checkpoint.engine  # noqa: B018 - is made
        for head in self.heads:
            self._scheme(head)
            self._lowest_score(head)
        self._outside_bias(self.heads)
        self._check_labels(guess=False)
        return int(self.shim.is_async)

    def _check_choices(self) -> None:
        for setting, known in CHOICES.items():
            check_choice(setting, getattr(self, setting), known)
        for setting in SWITCHES:
            check_switch(setting, getattr(self, setting))
        check_threshold(self.threshold)
        check_bias(self.outside_bias)

    def _check_labels(self, *, guess: bool) -> None:
        """Warn once of names of labels that have no effect."""
        given = {
            "label_map": self.label_map.keys() - self._told,
            "labels_to_ignore": {*self.labels_to_ignore} - self._told,
        }
        if any(given.values()) and (heads := self.shim.heads):
            native = [kind for head in heads for kind in self._scheme(head).types]
            known = {*native, *map(canonical_label, native), *self.cfg["labels"].values()}
            known |= {*self.label_map.values()}
            self._told |= warn_of_labels(self.name, given, known, guess=guess)
            if not guess:
                self._told |= {*given["label_map"], *given["labels_to_ignore"]}

    def predict(self, docs: Iterable[Doc]) -> Sequence[list[Entity]]:
        """Find the entities of documents, without changing them.

        Entities that fit no tokens (`alignment_mode`) are left out; `__call__` and `pipe` warn of
        how many they were.

        docs (Iterable[Doc]): The documents.
        RETURNS (Sequence[list[Entity]]): The entities of each, in order. Those of different heads
            may overlap. Where a GPU is still at work on them, reading them waits for it.

        DOCS: https://spacy.io/api/pipe#predict
        """
        output = self.model.predict(list(docs))
        return Pending(lambda: self.find(output)) if self.shim.is_async else self.find(output)

    def find(self, output: PieceLogits, heads: Sequence[Head] | None = None) -> list[list[Entity]]:
        """Find entities in what the model says of documents.

        output (PieceLogits): The model's output.
        heads (Sequence[Head] | None): The heads to read. None: those in use.
        RETURNS (list[list[Entity]]): The entities of each document, in order.
        """
        heads = tuple(self.heads if heads is None else heads)
        schemes, kinds = join_heads(heads, self.shim.name)
        found: list[dict[tuple[int, int, str], Entity]] = [{} for _ in output.pieces.lengths]
        if not kinds:
            return [[] for _ in found]
        rows = find_entities(
            output.buffer,
            output.logits,
            schemes,
            strategy=self._strategy,
            decoding=self.decoding,
            mode=self.alignment_mode,
            outside_bias=self._outside_bias(heads),
        )
        known: dict[int, tuple[str | None, float, str]] = {}  # of types that are found
        used, index = np.unique(rows.types, return_inverse=True)
        for type_ in used.tolist():
            head, kind = kinds[type_]
            known[type_] = (self.label_of(kind), self._lowest_score(head), head.dataset)
        lowest = np.array([np.inf if label is None else low for label, low, _ in known.values()])
        rows = rows.take(np.flatnonzero(rows.scores >= lowest[index])) if len(used) else rows
        rows = self._mend(rows, output, heads)
        for text, start, end, fits, type_, score, char_start, char_end in rows.rows():
            label, _, dataset = known[type_]
            assert label is not None
            self._counts["predicted"] += 1
            if not fits:
                self._counts["dropped"] += 1
                continue
            entity = Entity(start, end, label, score, (dataset,), char_start, char_end)
            twin = found[text].get(entity[:3])
            found[text][entity[:3]] = entity if twin is None else twin.join(entity)
        return self._add_assertions(output, [sorted(entities.values()) for entities in found])

    def _add_assertions(
        self, output: PieceLogits, entities: list[list[Entity]]
    ) -> list[list[Entity]]:
        """Say what is asserted of entities, if the checkpoint can."""
        head = self.shim.checkpoint.assertion
        if head is None:
            return entities
        flat = [entity for found in entities for entity in found]
        spans = [entity[:3] for entity in flat]
        best, probs = self._assess(output, head, spans, [len(found) for found in entities])
        scores = probs.max(axis=1, initial=0).tolist()
        for i in np.flatnonzero(best >= 0).tolist():
            flat[i] = flat[i]._replace(assertion=head.labels[best[i]], assertion_score=scores[i])
        return _regroup(flat, [len(found) for found in entities])

    def assess(
        self, docs: Iterable[Doc], spans: Iterable[Iterable[Span]]
    ) -> list[list[Assertion | None]]:
        """Tell what the checkpoint asserts of spans, whoever found them.

        docs (Iterable[Doc]): The documents.
        spans (Iterable[Iterable[Span]]): The spans of each, under the component's, canonical or
            native labels.
        RETURNS (list[list[Assertion | None]]): Label, score and probabilities of each span; None
            where the checkpoint says nothing of entities of that label.
        RAISES (ValueError): If the checkpoint has no head for it.
        """
        head = self.shim.checkpoint.assertion
        if head is None:
            raise ValueError(Errors.OM714.format(name=self.shim.name))
        docs, given = list(docs), [list(own) for own in spans]
        flat = [(span.start, span.end, span.label_) for own in given for span in own]
        counts = [len(own) for _, own in zip(docs, given, strict=True)]
        best, probs = self._assess(self.model.predict(docs), head, flat, counts)
        groups = self._asserted_groups(head, {label for *_, label in flat})
        found: list[Assertion | None] = [None] * len(flat)
        for i in np.flatnonzero(best >= 0).tolist():
            _, own = head.groups[groups[flat[i][2]]]
            by_label = {label: float(probs[i, head.labels.index(label)]) for label in own}
            label = head.labels[best[i]]
            found[i] = Assertion(label, by_label[label], by_label)
        return _regroup(found, counts)

    def _assess(
        self,
        output: PieceLogits,
        head: Head,
        spans: Sequence[tuple[int, int, str]],
        counts: Sequence[int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `find_assertions` finds of spans: first token, the one after the last, and label
        of each, as many of each document as `counts` says."""
        groups = self._asserted_groups(head, {label for *_, label in spans})
        first_tokens = np.repeat(output.buffer.first_tokens, counts)
        return find_assertions(
            output.buffer,
            output.logits,
            head,
            first_tokens + np.array([start for start, _, _ in spans], dtype="int64"),
            first_tokens + np.array([end for _, end, _ in spans], dtype="int64"),
            np.array([groups[label] for *_, label in spans], dtype="int64"),
            strategy=self._strategy,
        )

    def _asserted_groups(self, head: Head, labels: Iterable[str]) -> dict[str, int]:
        """Which of the head's groups each label belongs to: its index; -1 if to none, or if the
        label stands for types of several groups."""
        indices = {kind: i for i, (kind, _) in enumerate(head.groups)}
        kinds: dict[str, set[str | None]] = {}
        for native in self._types([own.dataset for own in self.shim.heads]):
            if label := self.label_of(native):
                kinds.setdefault(label, set()).add(asserted_as(native, indices))
        found = {}
        for label in labels:
            own = kinds.get(label) or {asserted_as(label, indices)}
            found[label] = indices.get(next(iter(own)) or "", -1) if len(own) == 1 else -1
        return found

    @property
    def _strategy(self) -> str:
        """How pieces are pooled."""
        if self.aggregation_strategy == "auto":
            return self.shim.checkpoint.strategy
        return self.aggregation_strategy

    def _mend(self, found: Found, output: PieceLogits, heads: tuple[Head, ...]) -> Found:
        """Mend entities with the rest of their documents, as far as they are whole tokens."""
        if self.alignment_mode != "token":
            return found
        schemes, kinds = join_heads(heads, self.shim.name)
        labels = [canonical_label(kind) for _, kind in kinds]
        if self.votes:
            all_schemes, all_kinds = join_heads(tuple(self.shim.heads), self.shim.name)
            found = drop_outvoted(
                found,
                labels,
                output.buffer,
                output.logits,
                all_schemes,
                [canonical_label(kind) for _, kind in all_kinds],
                strategy=self._strategy,
            )
        return mend(
            found,
            output.buffer,
            schemes.head_of_type,
            labels,
            trim=self.trim,
            abbreviations=self.abbreviations,
            consistency=self.consistency,
        )

    def _outside_bias(self, heads: Sequence[Head]) -> np.ndarray:
        """(n_heads,) What is added to the log-probability of "O". Heads without types have none."""
        heads = [head for head in heads if self._scheme(head).types]
        bias = self.outside_bias
        if not isinstance(bias, Mapping):
            return np.full(len(heads), float(bias))
        if unknown := {*bias} - {head.dataset for head in self.shim.heads}:
            names = ", ".join(head.dataset for head in self.shim.heads)
            unknown_names = ", ".join(sorted(unknown))
            raise ValueError(Errors.OM722.format(unknown=unknown_names, heads=names))
        return np.array([float(bias.get(head.dataset, 0.0)) for head in heads])

    def _warn_of_dropped(self) -> None:
        counts, self._counts = self._counts, Counter()
        if counts["dropped"]:
            message = Warnings.OM900.format(
                dropped=counts["dropped"], total=counts["predicted"], mode=self.alignment_mode
            )
            warnings.warn(message, stacklevel=3)

    def _scheme(self, head: Head) -> LabelScheme:
        return LabelScheme.from_labels(head.labels, name=self.shim.name)

    def _lowest_score(self, head: Head) -> float:
        if self.threshold != "recommended":
            return float(self.threshold)
        if head.threshold is None:
            raise ValueError(Errors.OM016.format(name=self.shim.name, dataset=head.dataset))
        return head.threshold

    def set_annotations(self, docs: Iterable[Doc], entities: Sequence[list[Entity]]) -> None:
        """Write entities to documents.

        docs (Iterable[Doc]): The documents.
        entities (list[list[Entity]]): The entities of each, from `predict`.

        DOCS: https://spacy.io/api/pipe#set_annotations
        """
        for doc, found in zip(docs, entities, strict=True):
            if self.annotate != "spans":  # first: the group tells earlier entities' scores
                set_ents(doc, found, self.ents_policy)
            if self.annotate != "ents":
                add_spans(doc, found, self.annotate_spans_key)
            else:
                add_assertions(doc, found)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
        head: str | None = None,
    ) -> None:
        """Choose the head that is to learn, and give it the labels that it lacks.

        Without `head` it is the one in use (or those, if `domain` or `dataset` name several) that
        knows labels of the data. Where none does, a new head is added, called as the component,
        and takes the place of the others. From a bare encoder there is only a new one.

        get_examples (Callable[[], Iterable[Example]]): Gives the training examples.
        nlp (Language | None): The pipeline.
        labels (Sequence[str] | None): The labels. None: those of the examples, and those that
            `add_label` added.
        head (str | None): Name of the head that is to learn, or of a new one.
        RAISES (ValueError): If there is nothing to learn, or the head is not clear.

        Without labels (`nlp.initialize()`), a checkpoint that has heads is loaded as it is.

        DOCS: https://spacy.io/api/pipe#initialize
        """
        validate_get_examples(get_examples, f"{type(self).__name__}.initialize")
        checkpoint = self.shim.load()
        if labels is None:
            own = [self.label_of(kind) or kind for kind in self._types(self._trained)]
            given = sorted({e.label_ for eg in get_examples() for e in eg.reference.ents})
            labels = [*dict.fromkeys([*own, *given])]
        if not labels and checkpoint.heads:
            return  # to predict with, as it is
        if not labels:
            raise ValueError(Errors.OM019.format(name=self.name))
        heads = self._heads_to_train(labels) if head is None else [head]
        self.shim.own()
        types = self._types(heads)
        # Each type serves one label: "NAME" and "PATIENT" may both mean PERSON.
        label_of_kind: dict[str, str] = {}
        for label in sorted(labels, key=lambda label: not self._is_name(label, types)):
            if kind := self._type_of(label, types):
                label_of_kind.setdefault(kind, label)
        unknown = [label for label in labels if label not in label_of_kind.values()]
        if unknown and len(heads) > 1:
            names, lacking = ", ".join(heads), ", ".join(unknown)
            raise ValueError(Errors.OM020.format(name=self.name, heads=names, labels=lacking))
        if unknown:
            self._set_head(heads[0], unknown)
        self._train(heads)
        # Answer in the words of the data: "Disease" where it says so, not "DISEASE".
        for kind, label in (label_of_kind | dict(zip(unknown, unknown, strict=True))).items():
            if self.label_of(kind) not in (label, None):
                self.cfg["labels"][kind] = label
        if not isinstance(self.shim, CheckpointShim):  # its weights are made now
            self.model.initialize(X=[eg.predicted for eg in islice(get_examples(), 10)])

    def _heads_to_train(self, labels: Iterable[str]) -> list[str]:
        heads = self.heads
        knowing = [h.dataset for h in heads if self._knows_any(h.dataset, labels)]
        if not knowing:
            return [self._name_head()]
        if own := [name for name in knowing if name in self._trained]:
            return own
        if len(knowing) > 1 and not self.datasets:
            names = ", ".join(knowing)
            raise ValueError(Errors.OM018.format(name=self.name, heads=names))
        return knowing

    def _name_head(self) -> str:
        """What a new head is called."""
        name = self.datasets[0] if len(self.datasets) == 1 else self.name
        if name in {head.dataset for head in self.shim.heads}:
            raise ValueError(Errors.OM023.format(name=self.name, head=name))
        return name

    def _knows_any(self, dataset: str, labels: Iterable[str]) -> bool:
        types = self._types([dataset])
        return any(self._type_of(label, types) for label in labels)

    def _types(self, datasets: Sequence[str]) -> list[str]:
        """The native types of heads; none of those that are not there yet."""
        heads = [head for head in self.shim.heads if head.dataset in datasets]
        return [kind for head in heads for kind in self._scheme(head).types]

    def _type_of(self, label: str, types: Sequence[str]) -> str | None:
        """The native type that a label of the data means."""
        exact = [t for t in types if self._is_name(label, [t])]
        alike = [t for t in types if canonical_label(t) == canonical_label(label)]
        return next(iter(exact + alike), None)

    def _is_name(self, label: str, types: Sequence[str]) -> bool:
        """Whether one of the types is called so: natively, or as the component answers."""
        return any(label in (kind, self.label_of(kind)) for kind in types)

    def _set_head(self, dataset: str, types: Sequence[str]) -> None:
        if isinstance(self.shim, CheckpointShim):
            self.shim.own().set_head(dataset, types)
        else:
            self.model.attrs["set_head"](self.model, dataset, types)

    def _train(self, heads: list[str]) -> None:
        """Let heads learn. They come to those in use, or replace them if they are others."""
        if self.threshold == "recommended":
            raise ValueError(Errors.OM016.format(name=self.name, dataset=", ".join(heads)))
        own = {*heads} & {*self.datasets}
        self.cfg["heads"] = [*self.datasets] if own else heads
        self.cfg["chosen"] = [*self.datasets]
        self.cfg["trained"] = self.shim.trained = heads
        self.shim.own().forget_confidence(heads, self._strategy)

    def add_label(self, label: str) -> int:
        """Add a label to the head that learns. Where several heads are in use, and none of them
        has the label, it goes to a new head, called as the component. The others stay in use
        until `initialize`, which leaves only the heads that learn.

        label (str): The label.
        RETURNS (int): 0 if it was there, 1 if it was added.
        RAISES (ValueError): If several heads learn, or if the label is not a string.

        DOCS: https://spacy.io/api/pipe#add_label
        """
        if not isinstance(label, str):
            raise ValueError(SpacyErrors.E187)
        in_use = [head.dataset for head in self.heads]
        trained = self._trained or in_use
        if self._is_name(label, self._types(trained)):
            return 0
        if self._trained and len(trained) > 1:
            raise ValueError(Errors.OM018.format(name=self.name, heads=", ".join(trained)))
        if len(trained) != 1:
            trained = [self._name_head()]
        self.shim.load()
        self._set_head(trained[0], [label])
        self._train(trained)
        self.cfg["heads"] = [*dict.fromkeys([*in_use, *trained])]
        if self.label_of(label) not in (label, None):
            self.cfg["labels"][label] = label
        return 1

    @property
    def label_data(self) -> tuple[str, ...]:
        """RETURNS (tuple[str, ...]): What `spacy init labels` writes and `initialize` takes."""
        return self.labels

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch of examples.

        examples (Iterable[Example]): The examples.
        drop (float): Dropout of the transformer.
        sgd (Optimizer | None): Takes a step if there is one.
        losses (dict[str, float] | None): Where the loss is added, under the component's name.
        RETURNS (dict[str, float]): The losses.
        RAISES (ValueError): If it is not clear which head is to learn.

        DOCS: https://spacy.io/api/pipe#update
        """
        if self.shim.trained is None:  # not initialised: a pipeline that is trained on
            heads = self._trained or [head.dataset for head in self.heads]
            if len(heads) > 1 and not (self._trained or self.datasets):
                raise ValueError(Errors.OM018.format(name=self.name, heads=", ".join(heads)))
            self._train(heads)
        return super().update(examples, drop=drop, sgd=sgd, losses=losses)

    def get_loss(  # type: ignore[override]
        self, examples: Iterable[Example], scores: PieceLogits
    ) -> tuple[float, np.ndarray]:
        """Find the loss: the mean cross entropy of the labelled pieces of all heads that learn.

        Tokens of which nothing is known, and those that gold entities cut through, do not count.

        examples (Iterable[Example]): The examples.
        scores (PieceLogits): What the model says of them.
        RETURNS (tuple[float, Floats2d]): The loss, and its gradient by the logits.

        DOCS: https://spacy.io/api/pipe#get_loss
        """
        examples = list(examples)
        self._warn_of_unknown(examples)
        gradient = np.zeros_like(scores.logits)
        tags = get_tags(examples)
        loss, count = 0.0, 0
        for head in self.shim.heads:
            if head.dataset in self.cfg["trained"]:
                part, gradient[:, head.columns], n = cross_entropy(
                    scores.logits[:, head.columns],
                    self.gold_pieces(tags, scores.buffer, head),
                    self._scheme(head),
                )
                loss, count = loss + part, count + n
        gradient /= max(count, 1)
        return loss / max(count, 1), gradient

    def _warn_of_unknown(self, examples: Sequence[Example]) -> None:
        """Say once which labels of the data no head learns."""
        labels = {ent.label_ for eg in examples for ent in eg.reference.ents} - self._seen
        types = self._types(self.cfg["trained"])
        unknown = sorted(label for label in labels if not self._type_of(label, types))
        self._seen |= labels
        if unknown:
            warnings.warn(
                Warnings.OM903.format(name=self.name, labels=", ".join(unknown)), stacklevel=4
            )

    def gold_pieces(self, tags: Sequence[str | None], buffer: Buffer, head: Head) -> np.ndarray:
        """Say what a head should answer.

        tags (Sequence[str | None]): Gold tags of the documents' tokens, see `training.get_tags`.
        buffer (Buffer): The documents.
        head (Head): The head.
        RETURNS (Ints1d): (n_pieces,) State of each piece in its label scheme, -1 for those that
            are not asked for.
        """
        scheme = self._scheme(head)
        labels = {tag[2:] for tag in tags if tag and len(tag) > 2}
        kinds = {label: kind for label in labels if (kind := self._type_of(label, scheme.types))}
        types = {label: scheme.types.index(kind) for label, kind in kinds.items()}
        states = read_states(tags, types, len(scheme.types))
        by = "first" if self.shim.checkpoint.strategy == "first" else "all"
        return label_pieces(buffer, states, scheme, by=by)

    @property
    def _part(self) -> str:
        """What the weights are called in a saved component."""
        return "checkpoint" if isinstance(self.shim, CheckpointShim) else "model"

    @property
    def _weights(self) -> Any:
        """What saves and loads the weights: the checkpoint's shim, or thinc's model."""
        return self.shim if isinstance(self.shim, CheckpointShim) else self.model

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the component with its checkpoint, as a plain Hugging Face folder.

        path (str | Path): The component's folder.
        exclude (Iterable[str]): "checkpoint" to leave that out.

        DOCS: https://spacy.io/api/pipe#to_disk
        """
        util.to_disk(path, {"cfg": self._write_cfg, self._part: self._weights.to_disk}, exclude)

    def _write_cfg(self, path: Path) -> None:
        if self.cfg["trained"]:
            srsly.write_json(path, self.cfg)
        else:  # of another pipeline that was saved there
            path.unlink(missing_ok=True)

    def _read_cfg(self, path: Path) -> None:
        self._set_cfg(srsly.read_json(path) if path.is_file() else {})

    def _set_cfg(self, cfg: dict[str, Any]) -> None:
        """Take what training settled. Components that were trained before version 0.2 answer as
        they did: some labels had other canonical names, and some domains meant other datasets."""
        if cfg.get("trained") and "version" not in cfg:
            old = OLD_LABELS if self.label_scheme == "canonical" else {}
            cfg = {**cfg, "chosen": [*self.datasets], "labels": {**old, **cfg["labels"]}}
        self.cfg = {**_empty_cfg(), **cfg}

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "OpenMedNER":
        """Load the component. Nothing but its folder is needed.

        path (str | Path): The component's folder.
        exclude (Iterable[str]): "checkpoint" to leave that out.
        RETURNS (OpenMedNER): The component.

        DOCS: https://spacy.io/api/pipe#from_disk
        """
        readers = {"cfg": self._read_cfg, self._part: self._weights.from_disk}
        util.from_disk(path, readers, exclude)  # type: ignore[arg-type]
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Save the component with its checkpoint to bytes.

        exclude (Iterable[str]): "checkpoint" to leave that out.
        RETURNS (bytes): The same files as `to_disk` writes.

        DOCS: https://spacy.io/api/pipe#to_bytes
        """
        return util.to_bytes(
            {"cfg": lambda: srsly.json_dumps(self.cfg), self._part: self._weights.to_bytes}, exclude
        )

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "OpenMedNER":
        """Load the component from bytes.

        bytes_data (bytes): What `to_bytes` returned.
        exclude (Iterable[str]): "checkpoint" to leave that out.
        RETURNS (OpenMedNER): The component.

        DOCS: https://spacy.io/api/pipe#from_bytes
        """
        readers = {
            "cfg": lambda data: self._set_cfg(srsly.json_loads(data)),
            self._part: self._weights.from_bytes,
        }
        util.from_bytes(bytes_data, readers, exclude)
        return self


def _regroup(flat: Sequence[T], counts: Sequence[int]) -> list[list[T]]:
    """The items of each document, as many as `counts` says."""
    ordered = iter(flat)
    return [list(islice(ordered, n)) for n in counts]


def _empty_cfg() -> dict[str, Any]:
    """What training settles: "trained", the heads that learn; "heads", those in use since then,
    unless the settings ("chosen" is what they were) are changed; "labels", what the data calls
    their types; "version", that of these rules."""
    return {"version": 2, "trained": [], "heads": [], "chosen": [], "labels": {}}


@lru_cache(maxsize=64)
def join_heads(heads: tuple[Head, ...], name: str) -> tuple[LabelSchemes, list[tuple[Head, str]]]:
    """Put the label schemes of heads side by side; the same heads are read once.

    heads (tuple[Head, ...]): The heads.
    name (str): The checkpoint's name, for the error.
    RETURNS (tuple[LabelSchemes, list[tuple[Head, str]]]): Their label schemes side by side, and
        head and native name of each of their types.
    """
    schemes = {head: LabelScheme.from_labels(head.labels, name=name) for head in heads}
    schemes = {head: scheme for head, scheme in schemes.items() if scheme.types}
    labels = [(head, head.start + i) for head in schemes for i in range(len(head.labels))]
    return (
        LabelSchemes(
            tuple(schemes.values()),
            np.array([column for _, column in labels], dtype="int64"),
            np.array([head.temperature for head, _ in labels], dtype="float32"),
        ),
        [(head, kind) for head, scheme in schemes.items() for kind in scheme.types],
    )
