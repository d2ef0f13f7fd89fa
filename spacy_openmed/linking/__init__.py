"""The component `openmed_linker`: ids of entities in a vocabulary of yours."""

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from .component import OpenMedLinker as OpenMedLinker
    from .reading import read_records as read_records
    from .records import Record as Record
    from .vocabulary import Vocabulary as Vocabulary
    from .vocabulary import build_vocabulary as build_vocabulary
    from .vocabulary import open_vocabulary as open_vocabulary

__all__, __getattr__ = lazy(
    __name__,
    component=["OpenMedLinker"],
    reading=["read_records"],
    records=["Record"],
    vocabulary=["Vocabulary", "build_vocabulary", "open_vocabulary"],
)
