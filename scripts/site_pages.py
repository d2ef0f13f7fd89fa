"""mkdocs' hook: pages of the site that are files elsewhere in the repository, such as CHANGELOG.md.

Links point to the files, so that they also work for readers of the repository. The hook makes a
page of each file, and rewrites the links between files and pages.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCS = "docs"
# The page that each file of the repository is.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "spacy_openmed/mini/README.md": "evidence/model-card.md",
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)")


def on_files(files: Any, config: Any) -> Any:
    """RETURNS (Files): The site's files, with a page of each of `PAGES`."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """RETURNS (str): A page, with links as they are on the site."""
    return move_links(markdown, page.file.src_uri)


def move_links(markdown: str, page: str) -> str:
    """Turn links between files of the repository into links between pages of the site.

    markdown (str): A page.
    page (str): Its path on the site.
    RETURNS (str): The page with the links of the site.
    """
    files = {own: name for name, own in PAGES.items()}
    folder = posixpath.dirname(files.get(page, f"{DOCS}/{page}"))

    def move(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        target = f"{DOCS}/{PAGES[target]}" if target in PAGES else target
        if not target.startswith(f"{DOCS}/"):
            return match[1]
        start = posixpath.dirname(f"{DOCS}/{page}")
        return posixpath.relpath(target, start)

    return LINK.sub(move, markdown)
