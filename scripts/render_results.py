"""Put the tables that benchmarks measured into the pages of the manual.

    python scripts/render_results.py            # writes the pages
    python scripts/render_results.py --check    # fails where a page and its result differ

A table stands in README.md, docs/ or the card of `mini` between two lines:

    <!-- results: deid.identifiers | identifier | token R = recall -->
    <!-- /results -->

It is the table `identifiers` of `benchmarks/results/deid.json`, which `deid.py --output` wrote.
The table's name may be left out if it is the file's name, or the only table. Only the named columns
are shown, optionally renamed; without names, all are. A table without a file stays as it is.

Between `<!-- figures -->` and `<!-- /figures -->` is a table with one row per dataset. Only its
column `mini` comes from the results: the F1 on raw text.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from list_blocks import find_pages

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CARD = ROOT / "spacy_openmed" / "mini" / "README.md"
PLACE = re.compile(
    r"^( *)<!-- results: ([\w.-]+)((?: *\|[^|\n]+)*) -->\n(.*?)^ *<!-- /results -->$",
    re.MULTILINE | re.DOTALL,
)
FIGURES = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def render(page: str, results: Path = RESULTS) -> str:
    """Put the tables into a page.

    page (str): The page, in Markdown.
    results (Path): Folder of the results.
    RETURNS (str): The page with its tables.
    RAISES (ValueError): If a result has no such table or column.
    """

    def fill(match: re.Match[str]) -> str:
        indent, name, columns, _ = match.groups()
        file, _, table = name.partition(".")
        path = results / f"{file}.json"
        if not path.exists():
            return match[0]
        lines = render_table(json.loads(path.read_text(encoding="utf8")), file, table, columns)
        first, last = match[0].splitlines()[0], match[0].splitlines()[-1]
        body = [indent + line if line else "" for line in ("", *lines.splitlines(), "")]
        return "\n".join([first, *body, last])

    def replace(match: re.Match[str]) -> str:
        return fill_figures(match[0], read_figures(results))

    return FIGURES.sub(replace, PLACE.sub(fill, page))


def read_figures(results: Path) -> dict[str, str]:
    """RETURNS (dict[str, str]): The F1 of `mini` on each dataset, for a table of datasets: on raw
    text, or on gold tokens if a dataset has no raw text; for notes, the F1 of problems."""
    accuracy, notes = (
        json.loads((results / f"{name}.json").read_text(encoding="utf8"))["tables"][table]
        for name, table in (("accuracy", "accuracy"), ("notes", "entities"))
    )
    figures = {}
    for values in accuracy["rows"]:
        row = dict(zip(accuracy["columns"], values, strict=True))
        raw, gold = row["F1, raw text"], row["F1, gold tokens"]
        figures[row["dataset"]] = f"{gold:.1f} (gold tokens)" if raw is None else f"{raw:.1f}"
    of_problems = dict(zip(notes["columns"], notes["rows"][0], strict=True))
    return {**figures, "notes": f"{of_problems['F1']:.1f}"}


def fill_figures(table: str, figures: Mapping[str, str]) -> str:
    """Fill the column `mini` of a table of datasets.

    table (str): The table, in Markdown.
    figures (Mapping[str, str]): The figure of each dataset.
    RETURNS (str): The table. Rows of other datasets stay as they are.
    """
    lines = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    dataset, mini = lines[0].index("dataset"), lines[0].index("`mini`")
    for cells in lines[2:]:
        bold = "**" if cells[dataset].startswith("**") else ""
        figure = figures.get(cells[dataset].strip("*"))
        cells[mini] = f"{bold}{figure}{bold}" if figure is not None else cells[mini]
    return "".join(f"{' | '.join(cells).strip()}\n" for cells in lines)


def render_table(result: dict[str, Any], file: str, table: str, columns: str) -> str:
    """Render a table with what reproduces it.

    result (dict[str, Any]): What `save_results` wrote.
    file, table (str): Name of the file, and of the table, or "".
    columns (str): The columns as the page names them, each after a "|"; "" for all.
    RETURNS (str): The table, and below it the command, the machine, the commit and the date.
    RAISES (ValueError): If there is no such table or column.
    """
    tables = result["tables"]
    name = table or (next(iter(tables)) if len(tables) == 1 else file)
    if name not in tables:
        raise ValueError(f"{file}.json has no table '{name}'. It has: {', '.join(tables)}.")
    header, rows = tables[name]["columns"], tables[name]["rows"]
    chosen = [part.strip().partition(" = ") for part in columns.split("|")[1:]]
    if unknown := [column for column, _, _ in chosen if column not in header]:
        raise ValueError(f"{file}.json, {name}: no column {unknown}. It has: {header}.")
    if chosen:
        places = [header.index(column) for column, _, _ in chosen]
        header = [shown or column for column, _, shown in chosen]
        rows = [[row[place] for place in places] for row in rows]
    source = f"`{result['command']}`, {result['processor']}, {result['date']}"
    return f"{to_markdown(header, rows)}\n\n*{source}, commit {result['commit']}.*"


def to_markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table; floats get two decimals, None is an empty cell.

    header (Sequence[str]): The columns.
    rows (Iterable[Sequence[object]]): The cells.
    RETURNS (str): The table.
    """
    lines = [list(header), ["---"] * len(header)]
    lines += [
        [f"{x:.2f}" if isinstance(x, float) else "" if x is None else str(x) for x in row]
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_pages(pages: Mapping[Path, str], script: str, *, check: bool) -> None:
    """Write generated pages, or compare them with the existing files.

    pages (Mapping[Path, str]): The content of each file.
    script (str): The script that generates them.
    check (bool): Compare and write nothing.
    RAISES (SystemExit): If pages are compared and some differ.
    """
    differ = []
    for path, page in pages.items():
        if not path.exists() or path.read_text(encoding="utf8") != page:
            differ.append(str(path.relative_to(ROOT)))
            if not check:
                path.write_text(page, encoding="utf8")
    if check and differ:
        sys.exit(f"Not up to date: {', '.join(differ)}. Run: python scripts/{script}")


def main(argv: Sequence[str] | None = None) -> None:
    """Fill all pages, or compare them."""
    parser = argparse.ArgumentParser(description="Put results into the pages of the manual.")
    parser.add_argument("--check", action="store_true", help="Compare, write nothing")
    check = parser.parse_args(argv).check
    pages = [CARD, *find_pages()]
    write_pages(
        {path: render(path.read_text(encoding="utf8")) for path in pages},
        "render_results.py",
        check=check,
    )


if __name__ == "__main__":
    main()
