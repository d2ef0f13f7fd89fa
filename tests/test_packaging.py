"""What the package declares: its dependencies, and its version."""

import ast
import re
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import spacy

import spacy_openmed
from spacy_openmed.apply.requirements import EXTRAS, find_requirements
from spacy_openmed.engines.registry import ENGINES

ROOT = Path(__file__).parent.parent
# Distributions that are not called like the module.
NAMES = {
    "pydantic_core": "pydantic",  # which pins it
    "simple_icd_10_cm": "simple-icd-10-cm",
    "sklearn": "scikit-learn",
}
NOT_IMPORTED = {
    "onnx": "torch.onnx writes with it",
    "pandas": "pyspark's Arrow functions need it",
}


def read_options() -> ConfigParser:
    options = ConfigParser(interpolation=None)
    options.read(ROOT / "setup.cfg", encoding="utf8")
    return options


def read_names(requirements: str) -> set[str]:
    """RETURNS (set[str]): The distributions that lines of requirements name."""
    names = re.findall(r"^\s*([A-Za-z][\w.-]*)", requirements, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names} - {"spacy-openmed"}


def read_imports() -> set[str]:
    """RETURNS (set[str]): The distributions that the package imports, wherever it does."""
    modules: set[str] = set()
    for path in Path(spacy_openmed.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules.add(node.module.split(".")[0])
    modules -= {*sys.stdlib_module_names, "spacy_openmed"}
    return {NAMES.get(name, name.replace("_", "-")).lower() for name in modules}


@pytest.fixture(scope="module")
def declared() -> set[str]:
    options = read_options()
    names = read_names(options["options"]["install_requires"])
    for extra, requirements in options["options.extras_require"].items():
        if extra not in ("benchmarks", "dev", "release", "test"):
            names |= read_names(requirements)
    return names


def test_every_import_is_declared(declared: set[str]):
    assert read_imports() - declared == set()


def test_every_dependency_is_imported(declared: set[str]):
    optional = {"spacy-transformers", *NOT_IMPORTED}
    assert declared - read_imports() - optional == set()


def test_oldest_pins_are_the_versions_that_are_promised():
    pins = (ROOT / "constraints" / "oldest.txt").read_text(encoding="utf8")
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", pins, re.MULTILINE))
    required = read_options()["options"]["install_requires"]
    for name, version in re.findall(r"^([\w-]+)>=([\d.]+)", required, re.MULTILINE):
        if name != "torch":
            assert pinned[name.replace("_", "-").lower()] == version


def test_every_extra_of_a_component_and_its_packages_are_there():
    factories = {
        point.partition("=")[0].strip()
        for point in read_options()["options.entry_points"]["spacy_factories"].splitlines()
    }
    assert EXTRAS.keys() <= factories
    extras = read_options()["options.extras_require"]
    assert {*EXTRAS.values()} <= extras.keys()
    for engine in ENGINES.values():
        named = read_names(extras[engine.extra]) if engine.extra else set()
        assert {*engine.packages, *engine.quantizers} <= named


def test_a_pipeline_names_the_extras_of_components_and_engine():
    nlp = spacy.blank("en")
    nlp.meta["requirements"] = ["my-package", "spacy-openmed[hcc]"]
    nlp.add_pipe("openmed_ner", config={"model": {"engine": "onnx"}})
    nlp.add_pipe("openmed_phi")
    own, found = find_requirements(nlp)
    assert own == "my-package"
    assert found.startswith("spacy-openmed[deid,onnx]>=")


def test_version_stands_in_one_place():
    version = re.escape(spacy_openmed.__version__)
    pattern = re.compile(rf"^\W*version\W+{version}\b", re.IGNORECASE | re.MULTILINE)
    files = [*ROOT.glob("*.c*f*"), *ROOT.glob("*.toml"), *ROOT.glob("scripts/*.py")]
    assert ROOT / "setup.cfg" in files
    assert [path for path in files if pattern.search(path.read_text(encoding="utf8"))] == []


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")))
def test_workflows_call_targets_that_exist(path: Path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    targets = re.findall(r"\bmake ([a-z0-9.-]+)", path.read_text(encoding="utf8"))
    assert targets
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
