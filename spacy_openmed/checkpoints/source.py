"""Where a checkpoint is from, and its files."""

import os
from dataclasses import dataclass
from pathlib import Path

from .. import catalogue
from ..errors import Errors
from ..suggestions import near_path
from .hub import HubError, check_complete, download_to_cache, find_missing

WEIGHTS = "model.safetensors"
# Files that make up a tokenizer, and those that say whose the weights are. Saved as they are.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
)
# One of them has to be there: transformers makes an empty tokenizer up where there is none.
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
BASE_CARD = "BASE_README.md"  # the model card of what a trained checkpoint was before
NOTICES = ("LICENSE", "NOTICE", "README.md", BASE_CARD)
# All files that a checkpoint may be loaded from: never pickles, never code.
CHECKPOINT_FILES = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "*.model",
    "vocab.json",
    "merges.txt",
    *TOKENIZER_FILES,
    *NOTICES,
)


@dataclass(frozen=True)
class Source:
    """Where a checkpoint is from.

    name (str): A folder, or an id on the Hugging Face hub.
    revision (str | None): Branch, tag or commit on the hub.
    local_files_only (bool): Never ask the hub, only the local cache.
    dataset (str | None): What its only head was trained on, if the checkpoint does not say.
    threshold (float | None): The confidence recommended for it, likewise.
    """

    name: str
    revision: str | None = None
    local_files_only: bool = False
    dataset: str | None = None
    threshold: float | None = None

    @property
    def is_folder(self) -> bool:
        return Path(self.name).is_dir()


def find_folder(source: Source) -> Path:
    """Find a checkpoint's folder: as named, or in the hub's local cache. Only what is in
    neither is downloaded, and only if the source allows it.

    source (Source): Where it is from.
    RETURNS (Path): The folder.
    RAISES (OSError): If it can't be found, or is incomplete.
    """
    if source.is_folder:
        check_complete(Path(source.name))
        return Path(source.name)
    if source.name == catalogue.MINI:
        raise OSError(Errors.OM111)
    if _is_path(source.name):
        near = near_path(Path(source.name))
        raise OSError(Errors.OM112.format(name=source.name, nearest=near))
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import HFValidationError

    try:
        folder = Path(
            snapshot_download(
                source.name,
                revision=source.revision,
                local_files_only=True,
                allow_patterns=[*CHECKPOINT_FILES],
                ignore_patterns=["*/*"],
            )
        )
        needed = (["config.json"], ["*.safetensors"], VOCABULARIES)
        if all(has_files(folder, *part) for part in needed) and not find_missing(folder):
            return folder
    except (OSError, HFValidationError):
        pass
    why = "model.local_files_only is set"
    if not source.local_files_only:
        try:
            return download_to_cache(source.name, source.revision, CHECKPOINT_FILES)
        except HubError as error:
            why = f"downloading it failed: {error}"
    revision = f" (revision {source.revision})" if source.revision else ""
    raise OSError(Errors.OM100.format(name=source.name, revision=revision, why=why))


def _is_path(name: str) -> bool:
    """Whether a name can only be that of a folder here, not OWNER/NAME."""
    return name.startswith((".", "~", os.sep)) or "\\" in name or name.count("/") > 1


def has_files(folder: Path, *patterns: str) -> bool:
    """RETURNS (bool): Whether a file of a folder matches one of the patterns."""
    return any(path.is_file() for pattern in patterns for path in folder.glob(pattern))
