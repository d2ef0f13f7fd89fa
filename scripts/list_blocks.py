"""List the code blocks of the manual: which ones the tests run, and why the others are not run.

    python scripts/list_blocks.py

`tests/test_docs.py` runs the ```python and ```console blocks of README.md and of every page in
docs/, unless the line before is `<!-- not run: REASON -->`. A line `<!-- slow -->` marks the page's
test as slow, and `<!-- needs: MODULE, MODULE -->` names required modules of extras.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN = ("python", "console")
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w*)[^`\n]*$")
REASON = re.compile(r"<!-- not run: (.+?) -->")
NEEDS = re.compile(r"^<!-- needs: (.+?) -->$", re.MULTILINE)
SLOW = re.compile(r"^<!-- slow -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    line (int): The line of the page that its code begins at, from 1.
    language (str): What its fence says.
    code (str): The code, without the indentation of the fence.
    reason (str | None): Why it is not run; None if it is.
    """

    line: int
    language: str
    code: str
    reason: str | None


@dataclass(frozen=True)
class Page:
    """A page of the manual.

    path (Path): The file.
    blocks (tuple[Block, ...]): Its blocks of Python and of the console, in order.
    is_slow (bool): Whether its test is a slow one.
    needs (tuple[str, ...]): Modules without which it is not run.
    """

    path: Path
    blocks: tuple[Block, ...]
    is_slow: bool
    needs: tuple[str, ...]


def read_page(path: Path) -> Page:
    """Read a page.

    path (Path): A file in Markdown.
    RETURNS (Page): The page.
    RAISES (ValueError): If a block has no end.
    """
    text = path.read_text(encoding="utf8")
    needs = tuple(name.strip() for names in NEEDS.findall(text) for name in names.split(","))
    return Page(path, tuple(_read_blocks(text, path)), bool(SLOW.search(text)), needs)


def _read_blocks(text: str, path: Path) -> list[Block]:
    blocks = []
    lines = text.splitlines()
    i, before = 0, ""
    while i < len(lines):
        match = FENCE.match(lines[i])
        if match is None:
            before = lines[i] if lines[i].strip() else before
            i += 1
            continue
        fence, start = match["fence"], i + 1
        end = next((j for j in range(start, len(lines)) if lines[j].strip() == fence), None)
        if end is None:
            raise ValueError(f"{path}, line {start}: the block has no end.")
        if match["language"] in RUN:
            code = textwrap.dedent("\n".join(lines[start:end])) + "\n"
            reason = REASON.search(before)
            blocks.append(Block(start + 1, match["language"], code, reason[1] if reason else None))
        i, before = end + 1, ""
    return blocks


def find_pages(root: Path = ROOT) -> list[Path]:
    """RETURNS (list[Path]): README.md and the pages in docs/."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def describe(pages: Sequence[Page]) -> str:
    """RETURNS (str): A line for each page, and below it one for each block that is not run."""
    lines = []
    for page in pages:
        left = [block for block in page.blocks if block.reason is not None]
        name = page.path.relative_to(ROOT) if page.path.is_relative_to(ROOT) else page.path
        if page.blocks:
            lines.append(f"{name}: {len(page.blocks) - len(left)} run, {len(left)} not run")
        lines += [f"  line {block.line}, {block.language}: {block.reason}" for block in left]
    blocks = [block for page in pages for block in page.blocks]
    run = sum(block.reason is None for block in blocks)
    return "\n".join([*lines, f"All pages: {run} run, {len(blocks) - run} not run"])


if __name__ == "__main__":
    print(describe([read_page(path) for path in find_pages()]))
