"""Components that save one thing beside their settings."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, TypeVar

from spacy import util
from spacy.util import SimpleFrozenList

Self = TypeVar("Self", bound="SavesOne")


class SavesOne(ABC):
    """Saves one thing of a component to disk and to bytes.

    saved (str): Its file in the component's folder. What `exclude` calls it is the name without
        the ending.
    """

    saved: ClassVar[str]

    @abstractmethod
    def _dump(self) -> bytes:
        """The file's content."""

    @abstractmethod
    def _load(self, data: bytes) -> None:
        """Take over what `_dump` gave."""

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = SimpleFrozenList()) -> None:
        """Save it to a folder.

        path (str | Path): The component's folder.
        exclude (Iterable[str]): Its name, to leave it out.

        DOCS: https://spacy.io/api/pipe#to_disk
        """
        writers = {self.saved: lambda p: p.write_bytes(self._dump())}
        util.to_disk(path, writers, exclude)  # type: ignore[arg-type]

    def from_disk(
        self: Self, path: str | Path, *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> Self:
        """Load it from a folder.

        path (str | Path): The component's folder.
        exclude (Iterable[str]): Its name, to leave it out.
        RETURNS (SavesOne): The component.

        DOCS: https://spacy.io/api/pipe#from_disk
        """
        readers = {self.saved: lambda p: self._load(p.read_bytes())}
        util.from_disk(path, readers, exclude)  # type: ignore[arg-type]
        return self

    def to_bytes(self, *, exclude: Iterable[str] = SimpleFrozenList()) -> bytes:
        """Save it to bytes.

        exclude (Iterable[str]): Its name, to leave it out.
        RETURNS (bytes): What `from_bytes` takes.

        DOCS: https://spacy.io/api/pipe#to_bytes
        """
        return util.to_bytes({self.saved: self._dump}, exclude)

    def from_bytes(
        self: Self, bytes_data: bytes, *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> Self:
        """Load it from bytes.

        bytes_data (bytes): What `to_bytes` returned.
        exclude (Iterable[str]): Its name, to leave it out.
        RETURNS (SavesOne): The component.

        DOCS: https://spacy.io/api/pipe#from_bytes
        """
        util.from_bytes(bytes_data, {self.saved: self._load}, exclude)
        return self
