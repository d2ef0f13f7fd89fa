"""Heads on another component's token vectors: one encoder for a whole pipeline.

The vectors come from any layer of spaCy's that gives them, such as spacy-transformers'
`TransformerListener`, through which several components learn from one `transformer`.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import srsly
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Linear, Model
from thinc.shims import Shim
from thinc.types import Floats2d

from ..checkpoints.heads import Head, add_types, read_heads
from ..checkpoints.windows import Pieces
from ..errors import Errors
from .alignment import Buffer
from .logits import PieceLogits, check_finite, make_buffer


class TokenHeads(Shim):
    """The heads of a model that has no checkpoint: what the columns of its classifier mean.

    For the component it is what `CheckpointShim` is: checkpoint and hold on it in one. Weights
    are thinc's, and saved with the model.
    """

    name = "the token vectors of this pipeline"
    strategy = "first"  # a token is one piece
    assertion = None
    is_async = False

    def __init__(self) -> None:
        super().__init__(None)
        self.facts: dict[str, Any] = {"heads": []}
        self.trained: list[str] | None = None

    @property
    def heads(self) -> list[Head]:
        """RETURNS (list[Head]): The heads."""
        return read_heads(self.facts)

    @property
    def checkpoint(self) -> "TokenHeads":
        """RETURNS (TokenHeads): Itself.
        RAISES (ValueError): If it has no heads: it was not trained."""
        if not self.facts["heads"]:
            raise ValueError(Errors.OM102.format(name=self.name, missing="a classifier"))
        return self

    def load(self) -> "TokenHeads":
        return self

    def own(self) -> "TokenHeads":
        return self

    def forget_confidence(self, datasets: Sequence[str], strategy: str) -> None:
        """Nothing was measured of these heads, and a token is one piece."""

    def finish_update(self, optimizer: Any) -> None:
        """thinc's own layers take the step."""

    def to_bytes(self) -> bytes:
        return srsly.json_dumps(self.facts).encode("utf8")

    def from_bytes(self, bytes_data: bytes) -> "TokenHeads":
        self.facts = cast(dict, srsly.json_loads(bytes_data))
        return self


@registry.architectures("spacy-openmed.Tok2VecClassifier.v1")
def Tok2VecClassifier(
    tok2vec: Model[list[Doc], list[Floats2d]],
) -> Model[list[Doc], PieceLogits]:
    """Build a model that puts heads on token vectors.

    tok2vec (Model[list[Doc], list[Floats2d]]): Gives the vectors, e.g. spacy-transformers'
        `TransformerListener`, which shares the `transformer` of the pipeline.
    RETURNS (Model[list[Doc], PieceLogits]): The model. Its pieces are spaCy's tokens.
    """
    return Model(
        "openmed_tok2vec_classifier",
        forward,
        init=init,
        layers=[tok2vec, Linear()],
        attrs={"set_head": set_head},
        shims=[TokenHeads()],
    )


def set_head(model: Model, dataset: str, types: Sequence[str]) -> None:
    """Add a head, or types to one that is there. What was learned is kept; the new rows of the
    classifier are zeros.

    model (Model[list[Doc], PieceLogits]): The model.
    dataset (str): The head's name.
    types (Sequence[str]): Entity types that it is to know.
    """
    shim = cast(TokenHeads, model.shims[0])
    heads, kept = add_types(shim.facts["heads"], dataset, types)
    old = model.layers[1]
    # A layer of its own: gradients and moments of the old one have its shape.
    new = Linear(sum(len(head["labels"]) for head in heads), old.maybe_get_dim("nI"))
    if old.has_param("W"):
        new.initialize()
        weights, bias = (cast(Any, new.get_param(name)) for name in ("W", "b"))
        weights[:] = 0
        for before, after in kept:
            weights[after] = cast(Any, old.get_param("W"))[before]
            bias[after] = cast(Any, old.get_param("b"))[before]
    model._layers[1] = new
    shim.facts = {**shim.facts, "heads": heads}


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    """Give the classifier its width, and random weights."""
    tok2vec, classifier = model.layers
    tok2vec.initialize(X=X)
    if classifier.has_param("W"):  # initialised before
        return
    width = tok2vec.maybe_get_dim("nO")
    if width is None and X:
        width = tok2vec.predict(X)[0].shape[1]
    classifier.set_dim("nI", cast(int, width), force=True)
    classifier.initialize()


def forward(
    model: Model[list[Doc], PieceLogits], docs: list[Doc], is_train: bool
) -> tuple[PieceLogits, Callable[[Floats2d], list[Doc]]]:
    """Classify the tokens of documents."""
    shim = cast(TokenHeads, model.shims[0])
    n_labels = sum(len(head.labels) for head in shim.checkpoint.heads)
    tok2vec, classifier = model.layers
    if not any(map(len, docs)):
        none = np.empty((0, n_labels), dtype="float32")
        return PieceLogits(_make_buffer(docs), lambda: none), _skip
    vectors, backprop_vectors = tok2vec(docs, is_train)
    lengths = [len(doc) for doc in docs]
    logits, backprop_logits = classifier(model.ops.flatten(vectors), is_train)

    def backprop(d_logits: Floats2d) -> list[Doc]:
        d_vectors = backprop_logits(model.ops.asarray2f(d_logits))
        return backprop_vectors(model.ops.unflatten(d_vectors, model.ops.asarray1i(lengths)))

    found = check_finite(model.ops.to_numpy(logits), shim.name)
    return PieceLogits(_make_buffer(docs), lambda: found), backprop


def _skip(d_logits: Floats2d) -> list[Doc]:
    return []


def _make_buffer(docs: list[Doc]) -> Buffer:
    """A buffer whose pieces are spaCy's tokens."""
    rows = [doc.to_array([IDX, LENGTH]).astype("int64").reshape(-1, 2) for doc in docs]
    offsets = np.concatenate([np.empty((0, 2), dtype="int64"), *rows])
    offsets[:, 1] += offsets[:, 0]
    lengths = np.array([len(doc) for doc in docs], dtype="int64")
    words = np.concatenate([np.empty(0, dtype="int64"), *(np.arange(n) for n in lengths)])
    return make_buffer(docs, Pieces(np.zeros(len(offsets), dtype="int64"), offsets, words, lengths))
