"""Make the manual's pictures of the page and of displaCy, in docs/images.

    python scripts/screenshots.py

An invented note is shown by Chromium. It needs no network: mini finds the entities.
"""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import spacy
from make_example import NOTE
from spacy import displacy

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).parent.parent / "docs" / "images"
MAX_BYTES = 200_000
PIPES = ("openmed_context", "openmed_relation", "openmed_hcc")


def find_browser() -> str | None:
    """RETURNS (str | None): The path of a Chromium, if there is one."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    for name in names:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


@contextmanager
def serve(pipeline: Path) -> Iterator[str]:
    """Serve the page.

    pipeline (Path): A saved pipeline.
    YIELDS (str): Its address.
    """
    import uvicorn

    from spacy_openmed.page import make_app

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(pipeline), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


def show_page(page: "Page", url: str) -> None:
    """Show the entities of the note."""
    page.goto(url)
    page.get_by_label("Text", exact=True).fill(NOTE)
    page.get_by_role("button", name="Find entities", exact=True).click()
    page.locator("#entities mark").first.wait_for()


def save(picture: bytes, name: str) -> None:
    """Write a picture.

    picture (bytes): The picture, in PNG.
    name (str): The name of its file.
    RAISES (SystemExit): If it is too large for the manual.
    """
    if len(picture) > MAX_BYTES:
        raise SystemExit(f"{name} has {len(picture):,} bytes; at most {MAX_BYTES:,} are wanted.")
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / name).write_bytes(picture)


def main() -> None:
    """Make the pictures."""
    from playwright.sync_api import sync_playwright

    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"dataset": "notes"})
    entities = displacy.render(nlp(NOTE), style="ent", page=True, jupyter=False)
    for name in PIPES:
        nlp.add_pipe(name)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        nlp.to_disk(folder)
        # Chromium's sandbox does not work as root, as in a container.
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 620})
        page.set_default_timeout(600_000)  # ms
        with serve(Path(folder)) as url:
            show_page(page, url)
            save(page.screenshot(animations="disabled"), "page.png")
        page.set_viewport_size({"width": 1000, "height": 400})
        page.set_content(entities)
        save(page.locator("figure").screenshot(), "displacy.png")
        chromium.close()


if __name__ == "__main__":
    main()
