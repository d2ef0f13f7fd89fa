"""Find entities in what the model says of documents, and tell what is asserted of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TypeVar

import numpy as np
from spacy.tokens import Doc, Span

from ..checkpoints.heads import Head
from ..errors import Errors
from ..labels import asserted_as, canonical_label
from ..spans import Entity
from .assertion import Assertion, find_assertions
from .decoding import LabelScheme, LabelSchemes
from .document import drop_outvoted, mend
from .extraction import Found, find_entities
from .heads import HeadPipe
from .logits import PieceLogits
from .memo import Memo

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the types that heads find.

    schemes (LabelSchemes): The label schemes of the heads, side by side.
    kinds (Sequence[tuple[Head, str]]): Head and native name of each type.
    labels (Sequence[str | None]): Label of each, as configured; None if it is to be ignored.
    canonical (Sequence[str]): Canonical label of each.
    lowest (Floats1d): (n_types,) The lowest score of each; infinite if it is to be ignored.
    outside_bias (Floats1d): (n_heads,) What is added to the log-probability of each "O".
    """

    schemes: LabelSchemes
    kinds: Sequence[tuple[Head, str]]
    labels: Sequence[str | None]
    canonical: Sequence[str]
    lowest: np.ndarray
    outside_bias: np.ndarray


class FindingPipe(HeadPipe):
    """A component that finds entities."""

    decoding: str
    alignment_mode: str
    threshold: float | str
    outside_bias: float | Mapping[str, float]
    trim: bool
    abbreviations: bool
    consistency: bool
    votes: bool
    _counts: Counter[str]  # entities predicted, and those that fit no tokens
    _known: Memo[Known]
    _groups: Memo[dict[str, set[str | None]]]

    def find(self, output: PieceLogits, heads: Sequence[Head] | None = None) -> list[list[Entity]]:
        """Find entities in what the model says of documents.

        output (PieceLogits): The model's output.
        heads (Sequence[Head] | None): The heads to read. None: those in use.
        RETURNS (list[list[Entity]]): The entities of each document, in order.
        """
        known = self._read(self.heads if heads is None else heads)
        found: list[dict[tuple[int, int, str], Entity]] = [{} for _ in output.pieces.lengths]
        if not known.kinds:
            return [[] for _ in found]
        rows = find_entities(
            output.buffer,
            output.logits,
            known.schemes,
            strategy=self._strategy,
            decoding=self.decoding,
            mode=self.alignment_mode,
            outside_bias=known.outside_bias,
        )
        is_kept = rows.scores >= known.lowest[rows.types]
        rows = rows if is_kept.all() else rows.take(np.flatnonzero(is_kept))
        rows = self._mend(rows, output, known)
        for text, start, end, fits, type_, score, char_start, char_end in rows.rows():
            label = known.labels[type_]
            assert label is not None
            self._counts["predicted"] += 1
            if not fits:
                self._counts["dropped"] += 1
                continue
            datasets = (known.kinds[type_][0].dataset,)
            entity = Entity(start, end, label, score, datasets, char_start, char_end)
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
            raise ValueError(Errors.OM215.format(name=self.shim.name))
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

        def make() -> dict[str, set[str | None]]:
            kinds: dict[str, set[str | None]] = {}
            for native in self._types([own.dataset for own in self.shim.heads]):
                if label := self.label_of(native):
                    kinds.setdefault(label, set()).add(asserted_as(native, indices))
            return kinds

        kinds = self._groups.get((head, [*self.shim.heads], self._naming()), make)
        found = {}
        for label in labels:
            own = kinds.get(label) or {asserted_as(label, indices)}
            found[label] = indices.get(next(iter(own)) or "", -1) if len(own) == 1 else -1
        return found

    def _mend(self, found: Found, output: PieceLogits, known: Known) -> Found:
        """Mend entities with the rest of their documents, as far as they are whole tokens."""
        if self.alignment_mode != "token":
            return found
        if self.votes:
            all_schemes, all_kinds = join_heads(tuple(self.shim.heads), self.shim.name)
            found = drop_outvoted(
                found,
                known.canonical,
                output.buffer,
                output.logits,
                all_schemes,
                [canonical_label(kind) for _, kind in all_kinds],
                strategy=self._strategy,
            )
        return mend(
            found,
            output.buffer,
            known.schemes.head_of_type,
            known.canonical,
            trim=self.trim,
            abbreviations=self.abbreviations,
            consistency=self.consistency,
        )

    def _read(self, heads: Sequence[Head]) -> Known:
        """Read what heads find, as the settings are now."""

        def make() -> Known:
            schemes, kinds = join_heads(tuple(heads), self.shim.name)
            labels = [self.label_of(kind) for _, kind in kinds]
            lowest = [self._lowest_score(head) for head, _ in kinds]
            return Known(
                schemes,
                kinds,
                labels,
                [canonical_label(kind) for _, kind in kinds],
                np.where([label is None for label in labels], np.inf, lowest),
                self._outside_bias(heads),
            )

        bias = self.outside_bias
        bias = dict(bias) if isinstance(bias, Mapping) else bias
        key = (self.shim.name, [*heads], [*self.shim.heads], self._naming(), self.threshold, bias)
        return self._known.get(key, make)

    def _outside_bias(self, heads: Sequence[Head]) -> np.ndarray:
        """(n_heads,) What is added to the log-probability of "O". Heads without types have none."""
        heads = [head for head in heads if self._scheme(head).types]
        bias = self.outside_bias
        if not isinstance(bias, Mapping):
            return np.full(len(heads), float(bias))
        if unknown := {*bias} - {head.dataset for head in self.shim.heads}:
            names = ", ".join(head.dataset for head in self.shim.heads)
            unknown_names = ", ".join(sorted(unknown))
            raise ValueError(Errors.OM214.format(unknown=unknown_names, heads=names))
        return np.array([float(bias.get(head.dataset, 0.0)) for head in heads])

    def _lowest_score(self, head: Head) -> float:
        if self.threshold != "recommended":
            return float(self.threshold)
        if head.threshold is None:
            raise ValueError(Errors.OM204.format(name=self.shim.name, dataset=head.dataset))
        return head.threshold


def _regroup(flat: Sequence[T], counts: Sequence[int]) -> list[list[T]]:
    """The items of each document, as many as `counts` says."""
    ordered = iter(flat)
    return [list(islice(ordered, n)) for n in counts]


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
