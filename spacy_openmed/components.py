"""Base classes of the components that have no model: one contract for errors, one way to save."""

import copyreg
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from spacy import util
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.util import SimpleFrozenList
from spacy.vocab import Vocab

Self = TypeVar("Self", bound="SerializableComponent")


class RuleComponent(Pipe, ABC):
    """A component without a model.

    It treats errors as spaCy's trainable components do. A document that fails goes to the error
    handler, and no further: `pipe` does not yield it, and `__call__` returns None. The default
    handler raises the error.

    vocab (Vocab): The pipeline's vocabulary.
    name (str): Name of the component.
    """

    def __init__(self, vocab: Vocab, name: str) -> None:
        self.vocab = vocab
        self.name = name

    # spaCy's base class is compiled: `name` is in no `__dict__`, and its own way to pickle ignores
    # `__getstate__`.

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self),), self.__getstate__()  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __call__(self, doc: Doc) -> Doc:
        """Apply the component to one document.

        doc (Doc): The document.
        RETURNS (Doc): The same document. None if it failed and the error handler did not raise.

        DOCS: https://spacy.io/api/pipe#call
        """
        try:
            self.set_annotations(doc, self.predict(doc))
            return doc
        except Exception as error:
            self.get_error_handler()(self.name, self, [doc], error)
        return None  # type: ignore[return-value]  # as in `TrainablePipe`

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Apply the component to a stream of documents.

        stream (Iterable[Doc]): The documents.
        batch_size (int): Not used: documents are processed one by one.
        YIELDS (Doc): The documents that did not fail, in order.

        DOCS: https://spacy.io/api/pipe#pipe
        """
        for doc in stream:
            processed = self(doc)
            if processed is not None:
                yield processed

    @abstractmethod
    def predict(self, doc: Doc) -> Any:
        """Find what the component annotates. The document gets sentence starts at most.

        doc (Doc): The document.
        RETURNS (Any): What `set_annotations` takes.
        """

    @abstractmethod
    def set_annotations(self, doc: Doc, found: Any) -> None:
        """Write annotations to a document.

        doc (Doc): The document.
        found (Any): What `predict` returned.
        """


class SerializableComponent(RuleComponent):
    """A component that saves one file beside its settings.

    filename (str): The file in the component's folder. `exclude` takes its name without the
        ending.
    """

    filename: ClassVar[str]

    @abstractmethod
    def _dump(self) -> bytes:
        """RETURNS (bytes): The file's content."""

    @abstractmethod
    def _load(self, data: bytes) -> None:
        """Restore what `_dump` returned."""

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = SimpleFrozenList()) -> None:
        """Save the component to a folder.

        path (str | Path): The component's folder.
        exclude (Iterable[str]): The file's name, to leave it out.

        DOCS: https://spacy.io/api/pipe#to_disk
        """
        writers = {self.filename: lambda p: p.write_bytes(self._dump())}
        util.to_disk(path, writers, exclude)  # type: ignore[arg-type]

    def from_disk(
        self: Self, path: str | Path, *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> Self:
        """Load the component from a folder.

        path (str | Path): The component's folder.
        exclude (Iterable[str]): The file's name, to leave it out.
        RETURNS (SerializableComponent): The component.

        DOCS: https://spacy.io/api/pipe#from_disk
        """
        readers = {self.filename: lambda p: self._load(p.read_bytes())}
        util.from_disk(path, readers, exclude)  # type: ignore[arg-type]
        return self

    def to_bytes(self, *, exclude: Iterable[str] = SimpleFrozenList()) -> bytes:
        """Save the component to bytes.

        exclude (Iterable[str]): The file's name, to leave it out.
        RETURNS (bytes): What `from_bytes` takes.

        DOCS: https://spacy.io/api/pipe#to_bytes
        """
        return util.to_bytes({self.filename: self._dump}, exclude)

    def from_bytes(
        self: Self, bytes_data: bytes, *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> Self:
        """Load the component from bytes.

        bytes_data (bytes): What `to_bytes` returned.
        exclude (Iterable[str]): The file's name, to leave it out.
        RETURNS (SerializableComponent): The component.

        DOCS: https://spacy.io/api/pipe#from_bytes
        """
        util.from_bytes(bytes_data, {self.filename: self._load}, exclude)
        return self
