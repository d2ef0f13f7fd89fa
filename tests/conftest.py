"""Fixtures for the whole suite. Nothing here needs the network, or may use it."""

import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Read once, when transformers and huggingface_hub are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import checkpoints as ckpt
import hypothesis
import processor  # noqa: F401, before our modules ask what the processor has
import spacy
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.util import fix_random_seed

# The engine of every component that the tests make, for `make test-engines`.
ENGINE = os.environ.get("OPENMED_TEST_ENGINE", "torch")
# Where they run, for `make test-gpu`; in fp32, for answers to be those of a CPU.
DEVICE = os.environ.get("OPENMED_TEST_DEVICE", "cpu")

KEYWORDS = {
    "aspirin": "CHEM",
    "ibu##profen": "CHEM",
    "valproic acid": "CHEM",
    "asthma": "Disease",
    "renal failure": "Disease",
}
HEADS = {
    "bc5cdr_chem": {"aspirin": "Chemical", "ibu##profen": "Chemical", "valproic acid": "Chemical"},
    "ncbi_disease": {"asthma": "Disease", "renal failure": "Disease"},
}
ASSERTED = {"asthma": "ABSENT", "renal failure": "FAMILY", "valproic acid": "STOPPED"}


def block_network() -> None:
    """Make every connection that leaves this machine raise.

    It raises no OSError, which code may take for a network that is down and go on. The function
    stands on its own, so that its source can run in another process.
    """
    import ipaddress
    import socket

    def guard(connect):
        def guarded(self, address):
            if self.family in (socket.AF_INET, socket.AF_INET6):
                host = str(address[0])
                try:
                    local = ipaddress.ip_address(host.partition("%")[0]).is_loopback
                except ValueError:
                    local = host == "localhost"
                if not local:
                    raise RuntimeError(f"Tests must not use the network: tried to reach {host}.")
            return connect(self, address)

        return guarded

    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, guard(getattr(socket.socket, name)))


def add_openmed(
    nlp: Language,
    checkpoint: Path | str | None,
    *,
    name: str = "openmed_ner",
    after: str | None = None,
    model: dict | None = None,
    **settings,
) -> Pipe:
    """Add a component that uses the checkpoint (None: the catalogue's choice).

    model (dict | None): Further settings of the model.
    """
    source = {"engine": ENGINE, "device": DEVICE, "precision": "fp32"}
    if checkpoint is not None:
        source["name"] = str(checkpoint)
    config = {**settings, "model": {**source, **(model or {})}}
    return nlp.add_pipe("openmed_ner", name=name, after=after, config=config)


def make_nlp(checkpoint: Path | str | None, **settings) -> Language:
    """A blank English pipeline with one component; the arguments are those of `add_openmed`."""
    nlp = spacy.blank("en")
    add_openmed(nlp, checkpoint, **settings)
    return nlp


def found(doc: Doc) -> list[tuple[str, str]]:
    """Text and label of the entities in `doc.ents`."""
    return [(ent.text, ent.label_) for ent in doc.ents]


def pytest_configure(config: pytest.Config) -> None:
    block_network()
    # A shell starts background jobs with SIGINT ignored, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile("tests", deadline=None, max_examples=50)
    hypothesis.settings.load_profile("tests")
    # transformers 4.53's DeBERTa and ModernBERT, when they are imported.
    config.addinivalue_line("filterwarnings", "ignore:.torch.jit.script:DeprecationWarning")


def pytest_runtest_setup() -> None:
    """Training draws the weights of new heads, and dropout: the same ones in every run."""
    fix_random_seed(0)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "corpora" in getattr(item, "fixturenames", ()):
            item.add_marker("corpora")


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of the benchmark corpora. Tests that ask for it get the marker `corpora`."""
    folder = Path(os.environ.get("OPENMED_CORPORA", ""))
    if not os.environ.get("OPENMED_CORPORA") or not (folder / "ner").is_dir():
        pytest.skip("OPENMED_CORPORA names no folder that holds the corpora ('ner/')")
    return folder


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`checkpoints.make_checkpoint` without the folder; the same arguments give the same one.

    Tests share the folders: copy one before changing anything in it.
    """
    made: dict[str, Path] = {}

    def make(family: str = "bert", **settings) -> Path:
        if not ckpt.is_native(family):
            pytest.skip(f"the installed transformers has no {family}")
        key = f"{family} {sorted(settings.items())}"
        if key not in made:
            folder = tmp_path_factory.mktemp(family)
            made[key] = ckpt.make_checkpoint(folder, family, **settings)
        return made[key]

    return make


@pytest.fixture(scope="session", params=ckpt.FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Every family in turn."""
    return request.param


@pytest.fixture(scope="session")
def checkpoint(family: str, make_checkpoint: Callable[..., Path]) -> Path:
    """A checkpoint of every family in turn, with random weights."""
    return make_checkpoint(family)


@pytest.fixture(scope="session")
def keyword_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that finds the `KEYWORDS`."""
    return ckpt.make_keyword_checkpoint(tmp_path_factory.mktemp("keywords"), KEYWORDS)


@pytest.fixture(scope="session")
def multi_head_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint laid out like the bundled one, that finds the keywords of `HEADS`."""
    return ckpt.make_multi_head_checkpoint(tmp_path_factory.mktemp("heads"), HEADS)


@pytest.fixture(scope="session")
def assertion_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with an assertion head, that says of the keywords what `ASSERTED` says."""
    folder = tmp_path_factory.mktemp("assertion")
    return ckpt.make_multi_head_checkpoint(folder, HEADS, assertions=ASSERTED)


@pytest.fixture(scope="session")
def impossible_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that finds the `KEYWORDS`, and fails on texts that hold "impossible"."""
    return ckpt.make_impossible_checkpoint(tmp_path_factory.mktemp("impossible"), KEYWORDS)


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """Run code in a fresh process without network or hub cache; gives what it prints.

    Further arguments are the code's `sys.argv[1:]`.
    """

    def run(code: str, *args: object, env: dict[str, str] | None = None) -> str:
        command = [sys.executable, "-c", f"{inspect.getsource(block_network)}\n"]
        command[-1] += f"block_network()\n{code}"
        result = subprocess.run(
            [*command, *map(str, args)],
            env={**os.environ, "HF_HOME": str(tmp_path / "no_cache"), **(env or {})},
            capture_output=True,
            encoding="utf8",
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run
