from pathlib import Path

import srsly
from spacy.cli._util import Arg, Opt
from wasabi import msg

from .. import catalogue
from ..catalogue.store import CatalogueError
from ..errors import Errors
from ..suggestions import nearest
from ._options import check_output


def download_cli(
    # fmt: off
    id: str = Arg(..., help="Hub id of a checkpoint, see `openmed models`"),
    folder: Path = Arg(..., help="Folder to write to", file_okay=False),
    revision: str | None = Opt(None, "--revision", "-r", help="Branch, tag or commit"),
    # fmt: on
) -> None:
    """
    Download a checkpoint into a folder that `model.name` can be set to. After an interruption,
    run it again: it keeps the files that are complete.

    EXAMPLE: python -m spacy openmed download OpenMed/OpenMed-NER-PharmaDetect-PubMed-v2-109M pharma
    """
    check_output(folder, what="folder", parents=True)
    download(id, folder, revision=revision)
    config = f'{{"model": {{"name": "{folder}"}}}}'
    msg.good(f"Downloaded {id} to {folder}")
    print(f'Use it with: nlp.add_pipe("openmed_ner", config={config})')


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
    from ..checkpoints import hub
    from ..checkpoints.heads import describe
    from ..checkpoints.source import CHECKPOINT_FILES, Source

    if id == catalogue.MINI:
        raise CatalogueError(Errors.OM202)
    if "/" not in id:
        catalogue.get(id)  # says which ids are near
    is_part = hub.read_marker(folder) is not None or hub.find_missing(folder)
    if not is_part and any(folder.glob("*.safetensors")):
        raise OSError(Errors.OM206.format(folder=folder))
    try:
        hub.download(id, folder, revision, CHECKPOINT_FILES)
    except hub.HubError as err:
        known = () if catalogue.lookup(id) else (c.id for c in catalogue.checkpoints())
        near = nearest(id, known)
        raise OSError(Errors.OM200.format(id=id, why=err, nearest=near)) from None
    info = catalogue.lookup(id)
    if info is not None:  # the folder's name does not tell its dataset and threshold
        config = srsly.read_json(folder / "config.json")
        source = Source(id, dataset=info.dataset, threshold=info.recommended_confidence)
        config["openmed"] = describe(config, source)
        srsly.write_json(folder / "config.json", config)
    hub.finish(folder)
