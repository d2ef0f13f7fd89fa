"""Make the manual's pages of commands and of error codes, and the table of engines, from the code.

python scripts/make_reference.py            # writes commands.md, engines.md, errors.md
python scripts/make_reference.py --check    # fails where the pages in docs/ differ
"""

import ast
import inspect
import re
import types
from collections.abc import Iterator, Sequence
from enum import Enum
from operator import attrgetter
from pathlib import Path
from string import Formatter
from typing import Any, Literal, Union, get_args, get_origin

import typer
from render_results import write_pages
from typer.models import ArgumentInfo

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference"
COMMAND = "python -m spacy openmed"
NOTE = "<!-- Made by scripts/make_reference.py: change the code, then run it. -->"
BEGIN, END = "<!-- engines -->\n", "<!-- /engines -->\n"
COMMANDS = f"""\
{NOTE}

# Commands

Commands check names and paths before they start, and suggest the nearest one for a misspelling.
A traceback means a bug; it never shows your text. `{COMMAND} COMMAND --help` prints what this page
says of a command.

| exit code | meaning |
| --- | --- |
"""
EXIT_CODES = {
    "0": "Done. `serve` also ends with 0 on Ctrl-C or SIGTERM",
    "1": "A wrong name, path or setting, or a failure; the message says which",
    "2": "A wrong option",
    "{rows}": (
        "`process`, `deid` and `hcc`: done, but some rows or patients have an error. "
        "`serve`: it could not start, for example because the port is in use"
    ),
    "{interrupted}": "Interrupted with Ctrl-C",
}
ERRORS = f"""\
{NOTE}

# Error codes

Every error and warning of this package begins with a code. Words in capitals stand for values that
a message fills in. No message contains text of a document.
"""
OPTIONAL = ("add", "hint", "nearest", "revision", "where")  # fields that may be empty
TYPES = {str: "text", int: "integer", float: "number", Path: "path"}


def make_commands() -> str:
    """RETURNS (str): The page of commands."""
    from spacy_openmed.cli import openmed_cli
    from spacy_openmed.cli._options import INTERRUPTED, ROWS_WITH_ERRORS

    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    parts = [COMMANDS + codes.format(rows=ROWS_WITH_ERRORS, interrupted=INTERRUPTED)]
    commands = {info.name: info.callback for info in openmed_cli.registered_commands}
    for group in map(attrgetter("typer_instance"), openmed_cli.registered_groups):
        for info in group.registered_commands:
            commands[f"{group.info.name} {info.name}"] = info.callback
    parts += [describe_command(str(name), commands[name]) for name in sorted(commands, key=str)]
    return "\n".join(parts)


def describe_command(name: str, function: Any) -> str:
    """Describe a command.

    name (str): Its name.
    function (Callable): The function, whose defaults are typer's.
    RETURNS (str): A section in Markdown.
    """
    parameters = inspect.signature(function).parameters.values()
    arguments = [p for p in parameters if isinstance(p.default, ArgumentInfo)]
    options = [p for p in parameters if not isinstance(p.default, ArgumentInfo)]
    words = [p.name.upper() if is_required(p) else f"[{p.name.upper()}]" for p in arguments]
    usage = " ".join([COMMAND, name, *words, *(["[OPTIONS]"] if options else [])])
    lines = [f"## {name}", "", "```bash", usage, "```", "", *describe_help(function)]
    if arguments:
        lines += ["| argument | type | default | |", "| --- | --- | --- | --- |"]
        lines += [describe_parameter(p, [p.name.upper()]) for p in arguments] + [""]
    if options:
        lines += ["| option | type | default | |", "| --- | --- | --- | --- |"]
        lines += [describe_parameter(p, find_flags(p)) for p in options] + [""]
    return "\n".join(lines)


def describe_help(function: Any) -> Iterator[str]:
    """YIELDS (str): Lines of a command's help. Commands in it become blocks of code."""
    for paragraph in re.split(r"\n\s*\n", inspect.getdoc(function) or ""):
        lines = [line.strip() for line in paragraph.replace("\b", "").strip().splitlines()]
        if lines[0].startswith("EXAMPLE:"):
            yield from ["Example:", ""]
            lines = [line for line in (lines[0][len("EXAMPLE:") :].strip(), *lines[1:]) if line]
        is_code = bool(lines) and all(line.startswith(("python ", "| ")) for line in lines)
        yield from ["```bash", *lines, "```", ""] if is_code else [*lines, ""] if lines else []


def describe_parameter(parameter: inspect.Parameter, names: Sequence[str]) -> str:
    """RETURNS (str): A row of the table of arguments or options."""
    info = parameter.default
    default = info.default
    shown = "required" if is_required(parameter) else ""
    if default is not None and default != "" and default is not ... and type(default) is not bool:
        value = default.value if isinstance(default, Enum) else default
        shown = ", ".join(f"`{v}`" for v in value) if isinstance(value, list) else f"`{value}`"
    elif default is True:
        shown = "on"
    if isinstance(info.show_default, str):
        shown = info.show_default
    cells = (", ".join(f"`{name}`" for name in names), name_type(parameter), shown, info.help or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def is_required(parameter: inspect.Parameter) -> bool:
    """RETURNS (bool): Whether a parameter has to be given."""
    return parameter.default.default is ...


def find_flags(parameter: inspect.Parameter) -> list[str]:
    """RETURNS (list[str]): The names of an option on the command line."""
    flags = [flag for part in parameter.default.param_decls or () for flag in part.split("/")]
    return flags or [f"--{parameter.name.replace('_', '-')}"]


def name_type(parameter: inspect.Parameter) -> str:
    """RETURNS (str): What a parameter takes, with its range."""
    annotation, info = parameter.annotation, parameter.default
    if get_origin(annotation) in (types.UnionType, Union):
        annotation = next(a for a in get_args(annotation) if a is not type(None))
    repeats = get_origin(annotation) is list
    if repeats:
        annotation = get_args(annotation)[0]
    if annotation is bool:
        return "flag"
    if get_origin(annotation) is Literal:
        name = ", ".join(f"`{value}`" for value in get_args(annotation))
    elif inspect.isclass(annotation) and issubclass(annotation, Enum):
        name = ", ".join(f"`{value.value}`" for value in annotation)
    else:
        name = TYPES[annotation]
    if info.min is not None and info.max is not None:
        name += f", {info.min} to {info.max}"
    elif info.min is not None:
        name += f", {info.min} or more"
    return f"{name}, repeatable" if repeats else name


def make_errors(source: str) -> str:
    """Make the page of error codes.

    source (str): The source of `errors.py`.
    RETURNS (str): The page.
    """
    comments = {
        number: match[1]
        for number, line in enumerate(source.splitlines(), start=1)
        if (match := re.fullmatch(r"    # (.+)", line))
    }
    parts = [ERRORS]
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or node.name not in ("Errors", "Warnings"):
            continue
        sections: dict[str, list[str]] = {}
        for statement in node.body:
            if not isinstance(statement, ast.Assign) or not isinstance(
                statement.targets[0], ast.Name
            ):
                continue
            above = [n for n in comments if node.lineno < n < statement.lineno]
            title = comments[max(above)] if above else node.name
            code, message = statement.targets[0].id, ast.literal_eval(statement.value)
            text = show_message(message).removeprefix(f"[{code}] ").replace("|", "\\|")
            sections.setdefault(title, []).append(f'| <a id="{code.lower()}"></a>{code} | {text} |')
        for title, rows in sections.items():
            table = "\n".join(["| code | message |", "| --- | --- |", *sorted(rows)])
            parts.append(f"## {title}\n\n{table}\n")
    return "\n".join(parts)


def show_message(message: str) -> str:
    """Show what a message fills in.

    message (str): The message, a format string.
    RETURNS (str): The message, with capitals for its fields, without additions that may be empty.
    """
    shown = ""
    for literal, field, _, _ in Formatter().parse(message):
        shown += literal
        if field and (field not in OPTIONAL or shown.endswith(" ")):
            shown += field.upper()
    return shown


def fill_engines(page: str) -> str:
    """RETURNS (str): The page of engines, with the table of those there are."""
    from spacy_openmed.engines.registry import ENGINES

    rows = ["| `engine` | needs | precisions | |", "| --- | --- | --- | --- |"]
    for engine in ENGINES.values():
        needs = f"the extra `{engine.extra}`" if engine.extra else "nothing"
        precisions = ", ".join(engine.precisions)
        rows.append(f'| `"{engine.name}"` | {needs} | {precisions} | {engine.about} |')
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n".join(rows) + "\n" + END + rest.partition(END)[2]


def make_pages() -> dict[Path, str]:
    """RETURNS (dict[Path, str]): The pages, by their files."""
    errors = (ROOT / "spacy_openmed" / "errors.py").read_text(encoding="utf8")
    return {
        PAGES / "commands.md": make_commands(),
        PAGES / "engines.md": fill_engines((PAGES / "engines.md").read_text(encoding="utf8")),
        PAGES / "errors.md": make_errors(errors),
    }


def main(check: bool = typer.Option(False, "--check", help="Compare, write nothing")) -> None:
    """Make the pages."""
    write_pages(make_pages(), "make_reference.py", check=check)


if __name__ == "__main__":
    typer.run(main)
