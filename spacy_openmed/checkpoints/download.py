"""Download checkpoints."""

from pathlib import Path

import srsly

from .. import catalogue
from ..catalogue.store import CatalogueError
from ..errors import Errors
from ..suggestions import nearest
from . import hub
from .heads import describe
from .source import CHECKPOINT_FILES, Source


def download(id: str, folder: Path, *, revision: str | None = None) -> None:
    """Download a checkpoint's configuration, safetensors weights and tokenizer. Run again after an
    interruption, it keeps the files that are complete.

    id (str): Hub id of a checkpoint, one of the catalogue's or any other.
    folder (Path): Folder to write to.
    revision (str | None): Branch, tag or commit.
    RAISES (CatalogueError): If it is no hub id.
    RAISES (OSError): If the folder holds a checkpoint already, a file comes damaged, or the hub is
        not in reach, does not have it, or has no safetensors weights for it.
    """
    if id == catalogue.MINI:
        raise CatalogueError(Errors.OM121)
    if "/" not in id:
        catalogue.get(id)  # says which ids are near
    is_part = hub.read_marker(folder) is not None or hub.find_missing(folder)
    if not is_part and any(folder.glob("*.safetensors")):
        raise OSError(Errors.OM122.format(folder=folder))
    try:
        hub.download(id, folder, revision, CHECKPOINT_FILES)
    except hub.HubError as err:
        known = () if catalogue.lookup(id) else (c.id for c in catalogue.checkpoints())
        near = nearest(id, known)
        raise OSError(Errors.OM119.format(id=id, why=err, nearest=near)) from None
    info = catalogue.lookup(id)
    if info is not None:  # the folder's name does not tell its dataset and threshold
        config = srsly.read_json(folder / "config.json")
        source = Source(id, dataset=info.dataset, threshold=info.recommended_confidence)
        config["openmed"] = describe(config, source)
        srsly.write_json(folder / "config.json", config)
    hub.finish(folder)
