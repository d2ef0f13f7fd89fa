"""The package's layers: data flows down, and no import runs back up."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest
import spacy
from layout import LAYER_OF, PACKAGE, make_map, read_imports

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


def test_map_is_current():
    assert make_map() in (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text("utf8")


def test_no_circles():
    # What a package's __init__ imports lazily is for its users.
    graph = {
        name: {target for target in targets if not target.startswith(f"{name}.")}
        for name, targets in IMPORTS.items()
    }
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_modules_share_public_names_only():
    private = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {alias.name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf8")))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
        if alias.name.startswith("_") and alias.name != "__version__"
    ]
    assert private == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("app", "make_app"),
        ("deidentify", "deidentify"),
        ("graph_files", "write_graph"),
        ("hipaa", "IDENTIFIERS"),
        ("ray", "annotate"),
        ("spark", "annotate"),
    ],
)
def test_old_names_of_modules(module: str, name: str):
    pytest.importorskip({"app": "gradio", "deidentify": "presidio_anonymizer"}.get(module, "spacy"))
    if module in ("ray", "spark"):
        pytest.importorskip({"spark": "pyspark"}.get(module, module))
    sys.modules.pop(f"spacy_openmed.{module}", None)
    with pytest.warns(DeprecationWarning, match=f"spacy_openmed.{module} is now "):
        assert hasattr(import_module(f"spacy_openmed.{module}"), name)


@pytest.mark.parametrize(
    "package", ["batch", "deid", "engines", "graph", "hcc", "linking", "ner", "serve"]
)
def test_public_names_of_packages(package: str):
    module = import_module(f"spacy_openmed.{package}")
    assert all(getattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


@pytest.mark.parametrize(
    "path", [path for path in sorted(PACKAGE.glob("*/__init__.py")) if "lazy(" in path.read_text()]
)
def test_type_checkers_know_the_public_names(path: Path):
    nodes = ast.walk(ast.parse(path.read_text("utf8")))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 1]
    known = [alias.asname for node in imports for alias in node.names]
    assert sorted(known) == import_module(f"spacy_openmed.{path.parent.name}").__all__


def test_pipeline_of_the_flat_package_loads():
    """It was saved by version 0.2, before the modules moved."""
    nlp = spacy.load(Path(__file__).parent / "data" / "pipeline-0.2")
    with pytest.warns(UserWarning, match="OM911"):  # it has no model for personal data
        doc = nlp("No fever. Aspirin for diabetes. Seen by Dr. John Smith on 3/4/2020.")
    assert [(ent.text, ent.label_, ent._.is_negated) for ent in doc.ents] == [
        ("fever", "DISEASE", True),
        ("Aspirin", "CHEMICAL", False),
        ("diabetes", "DISEASE", False),
    ]
    assert [(span.text, span.label_) for span in doc.spans["phi"]] == [
        ("John Smith", "PERSON"),
        ("3/4/2020", "DATE"),
    ]


def test_only_the_weights_are_large():
    # Benchmarks build and read vocabularies and corpora made by others, which stay outside.
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("no clone, so nothing says which files are of the repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    files = [root / name for name in listed.stdout.split("\0") if name]
    large = [file.name for file in files if file.is_file() and file.stat().st_size > 2**20]
    assert large == ["model.safetensors"]
