from pathlib import Path

from spacy.cli._util import Arg, Opt
from wasabi import msg

from .. import catalogue
from ..catalogue import CatalogueError
from ..errors import Errors

# What a checkpoint folder needs, and nothing that has to be unpickled or run.
WEIGHTS = ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
FILES = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spm.model",
    "sentencepiece.bpe.model",
]


def download_cli(
    # fmt: off
    id: str = Arg(..., help="Hub id of a checkpoint, see `openmed models`"),
    folder: Path = Arg(..., help="Folder to write to", file_okay=False),
    revision: str | None = Opt(None, "--revision", "-r", help="Branch, tag or commit"),
    # fmt: on
) -> None:
    """
    Download a checkpoint into a folder that `model.name` can be set to.
    """
    try:
        download(id, folder, revision=revision)
    except (CatalogueError, OSError) as err:
        msg.fail(str(err), exits=1)
    msg.good(f"Downloaded {id} to {folder}", f'Use it with: [model] name = "{folder}"')


def download(id: str, folder: Path, *, revision: str | None = None) -> None:
    """Download a checkpoint's configuration, safetensors weights and tokenizer.

    id (str): Hub id of a checkpoint of the catalogue.
    folder (Path): Folder to write to.
    revision (str | None): Branch, tag or commit.
    RAISES (CatalogueError): If the catalogue has no such checkpoint.
    RAISES (OSError): If the hub is not in reach, or has no safetensors weights for it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if id == catalogue.MINI:
        raise CatalogueError(Errors.OM202)
    catalogue.get(id)
    try:
        snapshot_download(id, revision=revision, local_dir=folder, allow_patterns=WEIGHTS + FILES)
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError) as err:
        raise OSError(Errors.OM200.format(id=id, error=err)) from err
    if not any(folder.glob("model*.safetensors")):
        raise OSError(Errors.OM201.format(id=id))
