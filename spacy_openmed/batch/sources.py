"""Find files of texts, on this machine or elsewhere, and their format."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from ..encoding import UTF8, find_encoding, open_lines
from ..errors import Errors, missing_extra
from ..suggestions import near_path, nearest

try:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow import fs
except ImportError as error:
    raise missing_extra("batch", error) from error

# By the ending of the files. What pyarrow reads, and what is read here.
COLUMNAR = {"parquet": ("parquet",), "arrow": ("arrow", "feather", "ipc")}
DELIMITERS = {"csv": ",", "tsv": "\t"}
DELIMITER_NAMES = {"tab": "\t", "\\t": "\t"}
OTHERS = {
    "csv": ("csv",),
    "tsv": ("tsv",),
    "jsonl": ("jsonl", "ndjson"),
    "spacy": ("spacy",),
    "txt": ("txt",),
}
FORMATS = (*COLUMNAR, *OTHERS)
ENCODED = ("csv", "tsv", "jsonl", "txt")  # in an encoding that the user may name
ENDINGS = {ending: name for name, them in {**COLUMNAR, **OTHERS}.items() for ending in them}
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """Files of texts.

    files (tuple[fs.FileInfo, ...]): The files, in order; none: standard input.
    format (str): One of `FORMATS`.
    filesystem (fs.FileSystem): Where they are.
    root (str): What was named: a file or a folder.
    encoding (str): The encoding of text files.
    delimiter (str): What is between the columns of CSV.
    n_left_out (int): Files of the folder that have another format.
    """

    files: tuple[Any, ...]
    format: str
    filesystem: Any = field(compare=False)
    root: str
    encoding: str = UTF8
    delimiter: str = ","
    n_left_out: int = 0

    def fingerprint(self) -> list[Any]:
        """RETURNS (list): How the files are read, and name, size and time of change of each."""
        files = [[info.path, info.size, info.mtime_ns] for info in self.files]
        return [self.format, self.encoding, self.delimiter, files]

    def name(self, file: Any) -> str:
        """RETURNS (str): A file's name, below the folder that was named. None: standard input."""
        if file is None:
            return "standard input"
        if file.path == self.root:
            return file.base_name
        return str(PurePosixPath(file.path).relative_to(self.root))

    def read(self, file: Any) -> bytes:
        """RETURNS (bytes): The content of a file. None: of standard input."""
        if file is None:
            return sys.stdin.buffer.read()
        with self.filesystem.open_input_stream(file.path) as stream:
            return stream.read()

    @contextmanager
    def open(self, file: Any, newline: str) -> Iterator[TextIO]:
        """Read a file line by line.

        file (fs.FileInfo | None): The file. None: standard input.
        newline (str): Where lines end, see `encoding.open_lines`.
        YIELDS (TextIO): Its lines.
        """
        if file is None:
            with open_lines(sys.stdin.buffer, self.encoding, newline) as lines:
                yield lines
            return
        with (
            self.filesystem.open_input_stream(file.path) as stream,
            open_lines(stream, self.encoding, newline) as lines,
        ):
            yield lines


def find_filesystem(uri: str) -> tuple[Any, str]:
    """Find where a path or URI leads.

    uri (str): A local path, or a URI of any filesystem that pyarrow or fsspec knows.
    RETURNS (tuple[fs.FileSystem, str]): The filesystem, and the path in it.
    RAISES (ImportError): If fsspec needs another package for it.
    RAISES (ValueError): If neither knows it.
    """
    if "://" not in uri:
        return fs.LocalFileSystem(), uri
    try:
        return fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(uri)
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path


def check_format(what: str, format: str, known: Iterable[str]) -> None:
    """Check the format of files.

    what (str): "input" or "output".
    format (str): The format.
    known (Iterable[str]): Those there are.
    RAISES (ValueError): If it is none of them.
    """
    known = [*known]
    if format not in known:
        near = nearest(format, known)
        raise ValueError(
            Errors.OM360.format(what=what, format=format, nearest=near, formats=", ".join(known))
        )


def find_source(
    uri: str,
    format: str | None = None,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Source:
    """Find the files of texts.

    uri (str): A file or a folder, or "-" for standard input.
    format (str | None): One of `FORMATS`. None: by the files' ending; standard input is "jsonl".
    encoding (str | None): The encoding of CSV, TSV, JSONL and .txt files. None: UTF-8. A
        byte-order mark says more.
    delimiter (str | None): What is between the columns of CSV: a character, or "tab". None: a
        comma, a tab for TSV.
    RETURNS (Source): The files. Of a folder, all that are in it or below, by name, but those
        whose name or folder begins with "." or "_", and those of other or unknown formats.
    RAISES (OSError): If there are no files of texts.
    RAISES (ValueError): If their format is not known, or not one, or not for standard input, or
        if the format has no encoding or delimiter to choose.
    """
    if format is not None:
        check_format("input", format, FORMATS)
    if uri == STDIN:
        if format in ("spacy", *COLUMNAR):
            raise ValueError(Errors.OM356.format(format=format, formats=", ".join(ENCODED)))
        format = format or "jsonl"
        return Source((), format, None, uri, *_read_settings(format, encoding, delimiter))
    filesystem, root = find_filesystem(uri)
    info = filesystem.get_file_info(root)
    if info.type == fs.FileType.NotFound:
        is_local = isinstance(filesystem, fs.LocalFileSystem)
        near = near_path(Path(root)) if is_local else ""
        raise OSError(Errors.OM352.format(path=uri, nearest=near))
    files, n_left_out = [info], 0
    if info.type == fs.FileType.Directory:
        below = sorted(_find_below(filesystem, root), key=lambda file: file.path)
        wanted = ENDINGS.values() if format is None else [format]
        files = [file for file in below if ENDINGS.get(file.extension) in wanted]
        n_left_out = len(below) - len(files)
    if not files:
        raise OSError(Errors.OM353.format(path=uri, formats=", ".join(FORMATS)))
    found = {ENDINGS.get(file.extension) for file in files} if format is None else {format}
    if len(found) > 1 or None in found:
        raise ValueError(
            Errors.OM354.format(
                path=uri,
                endings=", ".join(sorted({file.extension or "none" for file in files})),
                formats=", ".join(FORMATS),
            )
        )
    format = str(found.pop())
    settings = _read_settings(format, encoding, delimiter)
    return Source(tuple(files), format, filesystem, root, *settings, n_left_out)


def _find_below(filesystem: Any, root: str) -> Iterator[Any]:
    for file in filesystem.get_file_info(fs.FileSelector(root, recursive=True)):
        parts = PurePosixPath(file.path).relative_to(root).parts
        if file.type == fs.FileType.File and not any(part[0] in "._" for part in parts):
            yield file


def _read_settings(format: str, encoding: str | None, delimiter: str | None) -> tuple[str, str]:
    """Encoding and delimiter of a format, from those that were named."""
    for option, value, supported in (
        ("encoding", encoding, ENCODED),
        ("delimiter", delimiter, tuple(DELIMITERS)),
    ):
        if value is not None and format not in supported:
            formats = ", ".join(supported)
            raise ValueError(Errors.OM369.format(option=option, formats=formats, format=format))
    delimiter = DELIMITER_NAMES.get(delimiter or "", delimiter)
    if delimiter is None:
        delimiter = DELIMITERS.get(format, ",")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError(Errors.OM365.format(n=len(delimiter)))
    return find_encoding(encoding or UTF8), delimiter


def count_rows(source: Source) -> int | None:
    """RETURNS (int | None): How many texts there are, where that is soon known."""
    if source.format == "parquet" and source.files:
        try:
            return ds.dataset(
                [file.path for file in source.files], filesystem=source.filesystem, format="parquet"
            ).count_rows()
        except (OSError, pa.ArrowException):  # one of the files can't be read
            return None
    return len(source.files) if source.format == "txt" and source.files else None
