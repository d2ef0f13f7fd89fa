"""Choose the heads that learn, give them the labels that they lack, and let them learn."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np
from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.training import Example, validate_get_examples
from thinc.api import Optimizer

from ..checkpoints.heads import Head
from ..errors import Errors, Warnings
from .alignment import Buffer
from .heads import HeadPipe
from .logits import PieceLogits
from .loss import cross_entropy
from .shim import CheckpointShim
from .targets import get_tags, label_pieces, read_states


class LearningPipe(HeadPipe):
    """A component that is trained."""

    threshold: float | str
    _seen: set[str]  # labels of the data, looked at before

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
            raise ValueError(Errors.OM207.format(name=self.name))
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
            raise ValueError(Errors.OM208.format(name=self.name, heads=names, labels=lacking))
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
            raise ValueError(Errors.OM206.format(name=self.name, heads=names))
        return knowing

    def _name_head(self) -> str:
        """What a new head is called."""
        name = self.datasets[0] if len(self.datasets) == 1 else self.name
        if name in {head.dataset for head in self.shim.heads}:
            raise ValueError(Errors.OM209.format(name=self.name, head=name))
        return name

    def _knows_any(self, dataset: str, labels: Iterable[str]) -> bool:
        types = self._types([dataset])
        return any(self._type_of(label, types) for label in labels)

    def _set_head(self, dataset: str, types: Sequence[str]) -> None:
        if isinstance(self.shim, CheckpointShim):
            self.shim.own().set_head(dataset, types)
        else:
            self.model.attrs["set_head"](self.model, dataset, types)

    def _train(self, heads: list[str]) -> None:
        """Let heads learn. They come to those in use, or replace them if they are others."""
        if self.threshold == "recommended":
            raise ValueError(Errors.OM204.format(name=self.name, dataset=", ".join(heads)))
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
            raise ValueError(Errors.OM206.format(name=self.name, heads=", ".join(trained)))
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
                raise ValueError(Errors.OM206.format(name=self.name, heads=", ".join(heads)))
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
                Warnings.OM909.format(name=self.name, labels=", ".join(unknown)), stacklevel=4
            )

    def gold_pieces(self, tags: Sequence[str | None], buffer: Buffer, head: Head) -> np.ndarray:
        """Say what a head should answer.

        tags (Sequence[str | None]): Gold tags of the documents' tokens, see `targets.get_tags`.
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
