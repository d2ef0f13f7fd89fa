"""`python -m spacy openmed`. Every `spacy` command imports this: nothing heavy at the top."""

import typer
from spacy.cli._util import app as spacy_app

from ._options import guard
from .app import app_cli
from .convert import convert_cli
from .deid import deid_cli
from .download import download_cli
from .graph import graph_cli
from .hcc import hcc_cli
from .info import info_cli
from .models import models_cli
from .ner import ner_cli
from .process import process_cli
from .serve import serve_cli
from .vocabulary import vocabulary_cli

HELP = "Find, inspect, download and try OpenMed's checkpoints for biomedical and clinical text."

openmed_cli = typer.Typer(name="openmed", help=HELP, no_args_is_help=True)
openmed_cli.command("models")(guard(models_cli))
openmed_cli.command("info")(guard(info_cli))
openmed_cli.command("download")(guard(download_cli))
openmed_cli.command("ner")(guard(ner_cli))
openmed_cli.command("convert")(guard(convert_cli))
openmed_cli.command("process")(guard(process_cli))
openmed_cli.command("serve")(guard(serve_cli, extra="serve"))
openmed_cli.command("deid")(guard(deid_cli))
openmed_cli.command("graph")(guard(graph_cli, extra="graph"))
openmed_cli.command("app")(guard(app_cli, extra="app"))
spacy_app.add_typer(openmed_cli)
openmed_cli.command("hcc")(guard(hcc_cli, extra="hcc"))
openmed_cli.add_typer(vocabulary_cli)
