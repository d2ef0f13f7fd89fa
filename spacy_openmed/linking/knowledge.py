"""Vocabularies with the interface of scispaCy's `linker.kb`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from .records import Record
from .vocabulary import Vocabulary


class KnowledgeBase:
    """The concepts of a linker's vocabularies.

    vocabularies (Sequence[Vocabulary]): The vocabularies.
    """

    def __init__(self, vocabularies: Sequence[Vocabulary]) -> None:
        self.cui_to_entity: Mapping[str, Record] = _Records(vocabularies)
        self.alias_to_cuis: Mapping[str, set[str]] = _Names(vocabularies)


class _Records(Mapping[str, Record]):
    def __init__(self, vocabularies: Sequence[Vocabulary]) -> None:
        self.vocabularies = vocabularies

    def __getitem__(self, id: str) -> Record:
        for vocabulary in self.vocabularies:
            with suppress(KeyError):
                return vocabulary[id]
        raise KeyError(id)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(id for vocabulary in self.vocabularies for id in vocabulary))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Names(Mapping[str, set[str]]):
    def __init__(self, vocabularies: Sequence[Vocabulary]) -> None:
        self.vocabularies = vocabularies

    def __getitem__(self, name: str) -> set[str]:
        found = {id for vocabulary in self.vocabularies for id in vocabulary.find_name(name)}
        if not found:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        texts = (v.names.get_text(n) for v in self.vocabularies for n in range(len(v.names)))
        return iter(dict.fromkeys(texts))

    def __len__(self) -> int:
        return sum(1 for _ in self)
