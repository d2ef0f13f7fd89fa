"""What several commands share."""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import typer
from spacy.cli._util import Opt
from wasabi import msg

from .. import catalogue
from ..encoding import decode
from ..engines.registry import PRECISIONS
from ..errors import Errors, missing_extra
from ..settings import describe_settings
from ..suggestions import near_path, nearest

SIZES = ", ".join(catalogue.SIZES)
WITHOUT_MODEL = (
    f"Without MODEL: {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"  # help of --precision
)
LOOPBACK = ("127.0.0.1", "::1", "localhost")  # hosts that only this machine reaches
PARTS = {"serve": ("batch",), "graph": ("batch",), "app": ("batch",), "hcc": ("clinical",)}
INTERRUPTED = 130  # exit code, as of shells
ROWS_WITH_ERRORS = 3  # exit code

# Options of the commands that read tables, see `batch.sources.find_source`.
FORMAT = Opt(
    None,
    "--format",
    "-f",
    help="Format of the input, if the file ending does not tell: parquet, arrow, csv, tsv, jsonl, "
    "spacy or txt",
)
DELIMITER = Opt(None, "--delimiter", help="Character between the columns of CSV, or 'tab'")
ENCODING = Opt(
    None, "--encoding", help="Encoding of CSV, TSV, JSONL or .txt; else UTF-8: cp1252, utf-16"
)


def guard(command: Callable[..., None], *, extra: str | None = None) -> Callable[..., None]:
    """Make a command end with a message where the user made a mistake, and with a traceback only
    where we did.

    command (Callable): The command.
    extra (str | None): Its extra, to name where a package is missing that is in a part of it.
    RETURNS (Callable): The command, with the same parameters.
    """

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):  # typer's own
            raise
        except ImportError as error:
            fail(_name_extra(error, extra))
        except Exception as error:
            fail(error)

    return run


def _name_extra(error: ImportError, extra: str | None) -> ImportError:
    """Name the extra of the command, not the smaller one that is a part of it."""
    parts = PARTS.get(extra or "", ())
    named = any(f"spacy-openmed[{part}]" in str(error) for part in parts)
    if not named or not isinstance(error.__cause__, ImportError):
        return error
    return missing_extra(str(extra), error.__cause__)


def fail(error: Exception) -> NoReturn:
    """Print what went wrong and exit.

    error (Exception): The error. Where nobody foresaw it, its message may hold the text of a
        document: only its type is printed, and where it was raised.
    """
    message = describe_mistake(error)
    if message is None:
        sys.stderr.writelines(traceback.format_tb(error.__traceback__))
        message = Errors.OM712.format(kind=type(error).__name__)
    msg.fail(message)
    sys.exit(1)


def describe_mistake(error: Exception) -> str | None:
    """Say what the user did wrong.

    error (Exception): The error.
    RETURNS (str | None): The message; None if the error is not the user's mistake.
    """
    from confection import ConfigValidationError

    message = str(error)
    if isinstance(error, ConfigValidationError):  # its message is the whole config
        return describe_settings(error)
    if re.match(r"\[(OM|E|W)\d+\]", message) or isinstance(error, ImportError):
        return message
    if isinstance(error, OSError):
        if error.strerror is None:
            return message
        path = "a file" if error.filename is None else f"'{error.filename}'"
        return Errors.OM711.format(path=path, reason=error.strerror.lower())
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    is_of_paths = bool(frames) and frames[-1].f_globals.get("__name__", "").startswith("fsspec.")
    return message if is_of_paths and isinstance(error, ValueError) else None


def check_choice(what: str, name: str, known: Iterable[str]) -> str:
    """Check the value of an option that takes a few.

    what (str): What it is, for the error.
    name (str): The value.
    known (Iterable[str]): The values there are.
    RETURNS (str): The value.
    RAISES (ValueError): If it is not one of them.
    """
    known = tuple(known)
    if name not in known:
        near = nearest(name, known)
        raise ValueError(
            Errors.OM050.format(what=what, name=name, nearest=near, known=", ".join(known))
        )
    return name


def split_names(names: str) -> tuple[str, ...]:
    """RETURNS (tuple[str, ...]): The names in an option that takes several, NAME,NAME."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


def check_input(path: Path, *, what: str = "file") -> Path:
    """Check that something can be read, before any work is done.

    path (Path): The path.
    what (str): "file", "folder", or "file or folder".
    RETURNS (Path): The path.
    RAISES (OSError): If it is not there, is something else, or may not be read.
    """
    if not path.exists():
        raise OSError(Errors.OM600.format(what=what, path=path, nearest=near_path(path)))
    if what == "file" and path.is_dir():
        raise OSError(Errors.OM710.format(path=path, actual="folder", expected="file"))
    if what == "folder" and not path.is_dir():
        raise OSError(Errors.OM710.format(path=path, actual="file", expected="folder"))
    if not os.access(path, os.R_OK):
        raise OSError(Errors.OM711.format(path=f"'{path}'", reason="permission denied"))
    return path


def check_output(path: Path, *, what: str = "file", parents: bool = False) -> Path:
    """Check that something can be written, before any work is done.

    path (Path): The path.
    what (str): "file" or "folder".
    parents (bool): Whether folders that are missing on the way will be made.
    RETURNS (Path): The path.
    RAISES (OSError): If it is something else, its folder is missing, or may not be written to.
    """
    if path.exists():
        if path.is_dir() != (what == "folder"):
            actual = "file" if what == "folder" else "folder"
            raise OSError(Errors.OM710.format(path=path, actual=actual, expected=what))
        place = path
    else:
        place = path.absolute().parent
        while parents and not place.exists():
            place = place.parent
        check_input(place, what="folder")
    if not os.access(place, os.W_OK):
        raise OSError(Errors.OM711.format(path=f"'{path}'", reason="permission denied"))
    return path


def check_pipeline(name: str) -> str:
    """Check that a pipeline is there, before it is loaded.

    name (str): Its path or the name of its package.
    RETURNS (str): The name.
    RAISES (OSError): If there is no such pipeline, or the folder holds something else.
    """
    import spacy

    path = Path(name)
    if path.is_dir():
        if not (path / "config.cfg").is_file():
            is_checkpoint = (path / "config.json").is_file()
            hint = ' It holds a checkpoint: set model.name to it, in a pipeline or with "ner -m".'
            raise OSError(Errors.OM713.format(path=name, hint=hint if is_checkpoint else ""))
    elif path.exists():
        raise OSError(Errors.OM710.format(path=name, actual="file", expected="pipeline's folder"))
    elif not spacy.util.is_package(name):
        near = near_path(path, spacy.util.get_installed_models())
        raise OSError(Errors.OM600.format(what="pipeline", path=name, nearest=near))
    return name


def decode_utf8(content: bytes, name: object) -> str:
    """Read text as it is, but for a byte-order mark.

    content (bytes): The text in UTF-8, or what its byte-order mark says.
    name (object): Where it is from, for the error.
    RETURNS (str): The text.
    RAISES (ValueError): If it is not encoded so.
    """
    try:
        return decode(content)
    except UnicodeDecodeError:
        raise ValueError(Errors.OM707.format(path=name)) from None


def read_file(path: Path) -> str:
    """Read a text file.

    path (Path): The file.
    RETURNS (str): Its text. Line ends stay, a byte-order mark does not.
    RAISES (OSError): If it can't be read.
    RAISES (ValueError): If it is not encoded in UTF-8.
    """
    return decode_utf8(check_input(path).read_bytes(), path)


def choose_model(
    model: str | None,
    domain: Sequence[str] | None,
    dataset: Sequence[str] | None,
    size: str | None,
    precision: str,
) -> str:
    """Name a pipeline in one string, see `apply.pipelines.to_model`.

    model (str | None): Its path or package.
    domain, dataset (Sequence[str] | None), size (str | None): Or the settings of `openmed_ner`.
    precision (str): That of `openmed_ner`.
    RETURNS (str): The pipeline.
    RAISES (ImportError): If the extra `batch` is not installed.
    RAISES (OSError): If there is no such pipeline.
    RAISES (ValueError): If it is neither named nor described, or both, or a setting is unknown.
    """
    from ..apply.pipelines import to_model

    check_choice("precision", precision, PRECISIONS)
    if bool(domain or dataset or size) == (model is not None):
        raise ValueError(Errors.OM701)
    if model is not None:
        return to_model(check_pipeline(model))
    catalogue.choose(domain=domain, dataset=dataset, size=size or catalogue.MINI)
    return to_model(
        {
            "domain": list(domain or ()) or None,
            "dataset": list(dataset or ()) or None,
            "size": size or catalogue.MINI,
            "model": {"precision": precision},
        }
    )
