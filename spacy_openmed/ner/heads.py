"""Which heads of its checkpoint a component uses, and what their types are called."""

from collections.abc import Sequence
from typing import Any, cast

from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from thinc.api import Model

from .. import catalogue
from ..checkpoints.heads import Head
from ..errors import Errors
from ..labels import canonical_label
from .decoding import LabelScheme
from .logits import PieceLogits
from .shim import CheckpointShim


class HeadPipe(TrainablePipe):
    """A component that reads heads of a checkpoint."""

    model: Model[list[Doc], PieceLogits]
    cfg: dict[str, Any]
    datasets: tuple[str, ...]
    aggregation_strategy: str
    label_scheme: str
    label_map: dict[str, str]
    labels_to_ignore: tuple[str, ...]

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
            Errors.OM202.format(
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

    def _naming(self) -> tuple[Any, ...]:
        """What decides how types are named: copies of it."""
        own = dict(self.cfg["labels"]), dict(self.label_map), tuple(self.labels_to_ignore)
        return self.label_scheme, *own

    def _scheme(self, head: Head) -> LabelScheme:
        return LabelScheme.from_labels(head.labels, name=self.shim.name)

    @property
    def _strategy(self) -> str:
        """How pieces are pooled."""
        if self.aggregation_strategy == "auto":
            return self.shim.checkpoint.strategy
        return self.aggregation_strategy

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
