"""What spaCy finds through the package's entry points, and what finding it costs."""

from collections.abc import Callable
from importlib.metadata import entry_points

import pytest
import spacy
from spacy import displacy
from spacy.cli._util import app
from spacy.language import Language
from spacy.util import registry
from typer.testing import CliRunner

from spacy_openmed.colors import DISPLACY_COLORS
from spacy_openmed.ner.component import OpenMedNER
from spacy_openmed.ner.model import TokenClassifier


def test_factories_are_called_as_their_entry_points():
    points = entry_points(group="spacy_factories")
    own = {point.name: point.load() for point in points if point.value.startswith("spacy_openmed")}
    assert "openmed_ner" in own
    assert [name for name in own if not Language.has_factory(name)] == []


def test_factory():
    assert isinstance(spacy.blank("en").add_pipe("openmed_ner"), OpenMedNER)


def test_architecture():
    assert registry.architectures.get("spacy-openmed.TokenClassifier.v1") is TokenClassifier


def test_architecture_fits_the_factory():
    nlp = spacy.blank("en")
    defaults = nlp.get_factory_meta("openmed_ner").default_config["model"]
    model = registry.resolve({"model": defaults})["model"]
    assert model.name == "openmed_token_classifier"
    assert {*defaults} == {"@architectures", *TokenClassifier.__kwdefaults__}
    assert all(defaults[key] == value for key, value in TokenClassifier.__kwdefaults__.items())


def test_displacy_colours():
    doc = {"text": "aspirin", "ents": [{"start": 0, "end": 7, "label": "CHEMICAL"}]}
    html = displacy.render(doc, style="ent", manual=True, jupyter=False)
    assert DISPLACY_COLORS["CHEMICAL"] in html


def test_command_line_help():
    registry.cli.get_all()
    result = CliRunner().invoke(app, ["openmed", "--help"])
    assert result.exit_code == 0
    for command in ("models", "info", "download", "ner"):
        assert command in result.stdout


@pytest.mark.slow
def test_command_line_of_a_fresh_process(run_python: Callable[..., str]):
    code = (
        "import runpy, sys\n"
        "sys.argv = ['spacy', 'openmed', '--help']\n"
        "runpy.run_module('spacy', run_name='__main__')"
    )
    out = run_python(code)
    assert all(command in out for command in ("models", "info", "download", "ner"))


@pytest.mark.slow
def test_a_fresh_process_finds_everything(run_python: Callable[..., str]):
    code = (
        "import spacy\n"
        "from spacy.util import registry\n"
        "nlp = spacy.blank('en')\n"
        "assert nlp.has_factory('openmed_ner')\n"
        "assert registry.has('architectures', 'spacy-openmed.TokenClassifier.v1')\n"
        "assert 'CHEMICAL' in registry.displacy_colors.get('openmed')\n"
        "assert registry.has('cli', 'openmed')\n"
        "print(type(nlp.add_pipe('openmed_ner')).__name__)"
    )
    assert run_python(code) == "OpenMedNER\n"


# thinc imports torch where it is installed, whoever asks; so it is out of the way here.
@pytest.mark.slow
def test_a_blank_pipeline_needs_neither_torch_nor_transformers(run_python: Callable[..., str]):
    code = (
        "import sys\n"
        "blocked = ('torch', 'transformers', 'tokenizers', 'safetensors', 'huggingface_hub')\n"
        "sys.modules.update(dict.fromkeys(blocked))\n"
        "import spacy\n"
        "nlp = spacy.blank('en')\n"
        "print(nlp.has_factory('openmed_ner'), 'spacy_openmed.ner.component' in sys.modules)"
    )
    assert run_python(code) == "True True\n"


@pytest.mark.slow
def test_a_blank_pipeline_does_not_import_transformers(run_python: Callable[..., str]):
    code = (
        "import sys\n"
        "from unittest.mock import MagicMock\n"
        # Presidio's own entry point, which imports transformers.
        "sys.modules['presidio_analyzer.nlp_engine.huggingface_token_pipe'] = MagicMock()\n"
        "import spacy\n"
        "spacy.blank('en').add_pipe('openmed_ner')\n"
        "print([name for name in ('transformers', 'tokenizers') if name in sys.modules])"
    )
    assert run_python(code) == "[]\n"
