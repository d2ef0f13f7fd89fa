"""The component: OpenMed's token classifiers as part of a spaCy pipeline."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import srsly
from spacy import util
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from ..checkpoints.checkpoint import Checkpoint
from ..errors import Warnings
from ..labels import canonical_label
from ..settings import check_choice, check_switch
from ..spans import Entity, add_assertions, add_spans, set_ents
from .finding import FindingPipe
from .learning import LearningPipe
from .logits import PieceLogits
from .memo import Memo
from .plan import resolve_sizes
from .settings import CHOICES, SWITCHES, check_bias, check_threshold, warn_of_labels
from .shim import CheckpointShim
from .stream import Pending, begin, run_ahead

# Canonical labels before version 0.2 of types that have another one today.
OLD_LABELS = {
    "SequenceVariant": "SEQUENCEVARIANT",
    **{s: label for label in ("DRUG", "PROBLEM") for s in (label, label.title(), label.lower())},
}


class OpenMedNER(FindingPipe, LearningPipe):
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
        self._known, self._groups = Memo(), Memo()
        self._check_choices()
        self._check_labels(guess=True)

    def __call__(self, doc: Doc) -> Doc:
        """Apply the component to one document.

        doc (Doc): The document.
        RETURNS (Doc): The same document. None if it failed and the error handler did not raise.

        DOCS: https://spacy.io/api/pipe#call
        """
        try:
            self.check_settings()
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
            for finish in run_ahead(self, stream, batch_size, self.check_settings):
                docs = finish()
                del finish  # and the logits that it holds
                yield from docs
        finally:
            self._warn_of_dropped()

    def check_settings(self) -> int:
        """Raise what would fail for every document: no checkpoint, or settings that it can't
        follow.

        RETURNS (int): How many batches to begin before the last one is finished.
        """
        checkpoint = self.shim.checkpoint
        if isinstance(checkpoint, Checkpoint):
            resolve_sizes(self.model, checkpoint)
        self._check_choices()
        self._read(self.heads)
        self._check_labels(guess=False)
        return int(self.shim.is_async)  # makes the engine

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

    def _warn_of_dropped(self) -> None:
        counts, self._counts = self._counts, Counter()
        if counts["dropped"]:
            message = Warnings.OM907.format(
                dropped=counts["dropped"], total=counts["predicted"], mode=self.alignment_mode
            )
            warnings.warn(message, stacklevel=3)

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


def _empty_cfg() -> dict[str, Any]:
    """What training settles: "trained", the heads that learn; "heads", those in use since then,
    unless the settings ("chosen" is what they were) are changed; "labels", what the data calls
    their types; "version", that of these rules."""
    return {"version": 2, "trained": [], "heads": [], "chosen": [], "labels": {}}
