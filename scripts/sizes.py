"""Measure the size of modules, classes and functions, and how much code is duplicated.

    python scripts/sizes.py [COMMIT ...] [--most 5]    # without a commit: the files as they are

    python scripts/sizes.py 2bed9c7 HEAD    # before and after the packages

Duplicated code: lines in runs of four that are repeated elsewhere, and in runs of six that are
repeated except for names, strings and numbers. Docstrings, comments and imports do not count.
"""

import argparse
import ast
import io
import keyword
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "spacy_openmed"
SAME, ALIKE = 4, 6  # lines of a run
WORD = re.compile(r"'[^']*'|\"[^\"]*\"|\b\w+\b")
NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def read_modules(commit: str | None) -> dict[str, str]:
    """RETURNS (dict[str, str]): The source of each module, by its path."""
    if commit is None:
        paths = sorted((ROOT / PACKAGE).rglob("*.py"))
        return {str(path.relative_to(ROOT)): path.read_text("utf8") for path in paths}
    command = ["git", "archive", commit, PACKAGE]
    content = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return {
            name: file.read().decode("utf8")
            for name, file in files
            if file is not None and name.endswith(".py")
        }


def measure(modules: dict[str, str]) -> dict[str, dict[str, int]]:
    """RETURNS (dict[str, dict[str, int]]): The lines of all modules, classes and functions."""
    sizes: dict[str, dict[str, int]] = {"module": {}, "class": {}, "function": {}}
    for path, source in modules.items():
        sizes["module"][path] = len(source.splitlines())
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, NAMED):
                kind = "class" if isinstance(node, ast.ClassDef) else "function"
                name = f"{path}: {node.name}"
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                sizes[kind][name] = max(size, sizes[kind].get(name, 0))
    return sizes


def read_code(source: str) -> list[str]:
    """RETURNS (list[str]): The lines of a module's code, in a uniform format."""
    return [*_lines(ast.parse(source))]


def _lines(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_skipped(s)] or [ast.Pass()]  # type: ignore[attr-defined]
    for line in ast.unparse(module).splitlines():
        if line.strip():
            yield line.strip()


def _is_skipped(node: ast.AST) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or isinstance(node, ast.Import | ast.ImportFrom)


def to_shape(line: str) -> str:
    """RETURNS (str): A line of code without its names, strings and numbers."""
    return WORD.sub(lambda match: match[0] if keyword.iskeyword(match[0]) else "_", line)


def count_repeated(code: Mapping[str, Sequence[str]], length: int) -> int:
    """Count duplicated lines of code.

    code (Mapping[str, Sequence[str]]): The lines of each module.
    length (int): How many lines in a row have to be the same.
    RETURNS (int): The lines.
    """
    places: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for path, lines in code.items():
        for i in range(len(lines) - length + 1):
            places.setdefault(tuple(lines[i : i + length]), []).append((path, i))
    repeated = (place for own in places.values() if len(own) > 1 for place in own)
    return len({(path, i + k) for path, i in repeated for k in range(length)})


def main() -> None:
    parser = argparse.ArgumentParser(description="Say how large the package's code is.")
    parser.add_argument("commits", nargs="*", default=[None])
    parser.add_argument("--most", type=int, default=5, help="rows of a kind")
    args = parser.parse_args()
    for commit in args.commits:
        modules = read_modules(commit)
        sizes = measure(modules)
        total = sum(sizes["module"].values())
        code = {path: read_code(source) for path, source in modules.items()}
        shapes = {path: [to_shape(line) for line in lines] for path, lines in code.items()}
        same, alike = count_repeated(code, SAME), count_repeated(shapes, ALIKE)
        n_lines = sum(map(len, code.values()))
        print(f"{commit or 'now'}: {len(modules)} modules, {total:,} lines, {n_lines:,} of code")
        print(
            f"  stand twice: {same / n_lines:.1%} of the code; {alike / n_lines:.1%} but for names"
        )
        for kind, rows in sizes.items():
            largest = sorted(rows.items(), key=lambda row: -row[1])[: args.most]
            for name, n in largest:
                print(f"  {kind:<9}{n:>6} {name}")


if __name__ == "__main__":
    main()
