"""The package's layers, and a map of its packages: `python scripts/layout.py [--check]`.

The map is a table in CONTRIBUTING.md, made from the packages' docstrings and imports.
"""

import ast
import re
from pathlib import Path

import typer

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "spacy_openmed"
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- layout -->\n", "<!-- /layout -->"
# From the top. A module imports from lower layers only, or from its own package. Applications stand
# side by side.
LAYERS = (
    {"app", "deidentify", "graph_files", "hipaa", "ray", "spark"},  # old names
    {"cli"},
    {"batch", "page", "serve"},
    {"apply", "corpora", "graph"},
    {"clinical", "deid", "hcc", "relations", "variants"},
    {"linking", "ner"},
    {"checkpoints"},
    {"engines"},
    {"catalogue", "components", "idle", "settings"},
    {
        "abbreviations",
        "colors",
        "encoding",
        "extensions",
        "formatting",
        "labels",
        "sections",
        "sentences",
    },
    {"errors", "paths", "spans", "suggestions"},
    {"", "_lazy", "_moved"},
)
LAYER_OF = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def read_imports() -> dict[str, set[str]]:
    """RETURNS (dict[str, set[str]]): Our modules that each of ours imports, wherever it does."""
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
    }
    imports = {}
    for name in modules:
        package = name.split(".")[:-1]
        tree = ast.parse(PACKAGE.joinpath(*name.split(".")).with_suffix(".py").read_text("utf8"))
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[: len(package) - node.level + 1]
                base += node.module.split(".") if node.module else []
                for alias in node.names:
                    own = ".".join([*base, alias.name])
                    is_module = {own, f"{own}.__init__"} & modules
                    found.add(_shorten(own if is_module else ".".join(base)))
        imports[_shorten(name)] = found
    return imports


def _shorten(name: str) -> str:
    return re.sub(r"\.?__init__$", "", name)


def to_package(name: str) -> str:
    """RETURNS (str): The package, or the module at the top, that a module belongs to."""
    return name.split(".")[0]


def make_map() -> str:
    """RETURNS (str): A row a package: what it is, and the packages that it imports."""
    imports = read_imports()
    rows = ["| package | what lives there | imports |", "| --- | --- | --- |"]
    for layer in LAYERS[1:]:
        for package in sorted(layer & {to_package(name) for name in imports if "." in name}):
            docstring = ast.get_docstring(
                ast.parse((PACKAGE / package / "__init__.py").read_text("utf8"))
            )
            targets = {
                to_package(target)
                for name, found in imports.items()
                if to_package(name) == package
                for target in found
            }
            packages = sorted(t for t in targets - {"", package} if (PACKAGE / t).is_dir())
            what = " ".join((docstring or "").split("\n\n")[0].split())
            rows.append(f"| `{package}` | {what} | {', '.join(packages)} |")
    return "\n".join(rows) + "\n"


def main(
    check: bool = typer.Option(False, "--check", help="Only say whether it is current"),
) -> None:
    """
    Write the map into CONTRIBUTING.md.
    """
    page = PAGE.read_text("utf8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    new = before + BEGIN + make_map() + END + after
    if check and new != page:
        raise SystemExit("The map in CONTRIBUTING.md is not current: run python scripts/layout.py")
    PAGE.write_text(new, "utf8")


if __name__ == "__main__":
    typer.run(main)
