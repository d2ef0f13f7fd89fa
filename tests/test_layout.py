"""The package's layers: data flows down, and no import runs back up."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import spacy_openmed

ROOT = Path(spacy_openmed.__file__).parent
# From the top. A module imports from lower layers only, or from its own package. Applications stand
# side by side.
LAYERS = (
    {"app", "deidentify", "graph_files", "hipaa", "ray", "spark"},  # old names
    {"cli"},
    {"batch", "page", "serve"},
    {"apply", "corpora", "graph"},
    {"clinical", "deid", "hcc", "relations"},
    {"ner"},
    {"checkpoints"},
    {"engines"},
    {"catalogue", "components", "idle", "settings"},
    {"abbreviations", "colors", "encoding", "extensions", "formatting", "labels", "sentences"},
    {"errors", "paths", "spans", "suggestions"},
    {"", "_lazy", "_moved"},
)
LAYER_OF = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def read_imports() -> dict[str, set[str]]:
    """RETURNS (dict[str, set[str]]): Our modules that each of ours imports, wherever it does."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")
    }
    imports = {}
    for name, path in modules.items():
        package = name.split(".")[:-1]
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[: len(package) - node.level + 1]
                base += node.module.split(".") if node.module else []
                for alias in node.names:
                    own = ".".join([*base, alias.name])
                    target = own if own in modules else ".".join(base)
                    found.add(target if target in modules else f"{target}.__init__".lstrip("."))
        imports[name.removesuffix(".__init__").removesuffix("__init__")] = {
            target.removesuffix(".__init__").removesuffix("__init__") for target in found
        }
    return imports


IMPORTS = read_imports()


def test_every_package_has_a_layer():
    assert {name.split(".")[0] for name in IMPORTS} == LAYER_OF.keys()


@pytest.mark.parametrize("package", sorted(LAYER_OF))
def test_no_import_runs_back_up(package: str):
    """Nor to the side."""
    wrong = [
        f"{name} imports {target}"
        for name, targets in IMPORTS.items()
        for target in targets
        if name.split(".")[0] == package != target.split(".")[0]
        and LAYER_OF[target.split(".")[0]] <= LAYER_OF[package]
    ]
    assert wrong == []


def test_no_circles():
    # What a package's __init__ imports lazily is for its users.
    graph = {
        name: {target for target in targets if not target.startswith(f"{name}.")}
        for name, targets in IMPORTS.items()
    }
    list(TopologicalSorter(graph).static_order())  # raises CycleError
