from pathlib import Path

from spacy.cli._util import Arg, Opt
from wasabi import msg

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
    from ..checkpoints.download import download

    download(id, folder, revision=revision)
    config = f'{{"model": {{"name": "{folder}"}}}}'
    msg.good(f"Downloaded {id} to {folder}")
    print(f'Use it with: nlp.add_pipe("openmed_ner", config={config})')
