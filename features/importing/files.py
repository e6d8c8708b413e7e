"""Which files an import was asked for, and what they are."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.faults import CallersMistake
from features.importing.mapping import Read
from features.lake import quoted

FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet",
    ".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
COMPRESSIONS = (".gz", ".zst")
_MAGIC = "*?["


@dataclass(frozen=True, slots=True)
class Export:
    """What one argument of the command stands for: a file, or a folder that is read as one."""

    path: Path
    files: tuple[Path, ...]
    format: str
    is_folder: bool = False

    def scan_list(self) -> str:
        """The files as DuckDB's list of paths, each meaning itself whatever characters it holds."""
        return "[" + ", ".join(quoted(as_pattern(file)) for file in self.files) + "]"


def find_exports(arguments: Sequence[str | Path], read: Read) -> list[Export]:
    """Every file, glob and folder asked for, in the order asked, globs in the order of their names.

    Raises:
        CallersMistake: nothing is there, or nobody can tell what a file is.
    """
    exports: list[Export] = []
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            exports.append(_folder(path, read))
        elif path.is_file():
            exports.append(Export(path, (path.resolve(),), _format(path, read)))
        else:
            is_glob = any(character in str(path) for character in _MAGIC)
            matches = sorted(glob.glob(str(path), recursive=True)) if is_glob else []  # noqa: PTH207 - may be absolute
            found = [Path(match) for match in matches if Path(match).is_file()]
            if not found:
                raise CallersMistake(
                    f"Asked to import '{argument}', but no file is there. Name a file, folder or glob."
                )
            exports += [Export(one, (one.resolve(),), _format(one, read)) for one in found]
    return exports


def fingerprint_of(exports: Sequence[Export], *extra: bytes) -> str:
    """The same for the same files under the same names: sha256 over names, sizes and both ends of each file."""
    digest = hashlib.sha256()
    for part in extra:
        digest.update(hashlib.sha256(part).digest())
    for export in exports:
        for path in export.files:
            size = path.stat().st_size
            digest.update(f"{path.name}:{size}".encode())
            with path.open("rb") as file:
                digest.update(file.read(1 << 20))
                file.seek(max(0, size - (1 << 20)))
                digest.update(file.read(1 << 20))
    return digest.hexdigest()


def as_pattern(path: Path) -> str:
    """The path as a glob that matches only itself."""
    return "".join(f"[{character}]" if character in _MAGIC else character for character in str(path))


def _folder(path: Path, read: Read) -> Export:
    files = tuple(
        file.resolve()
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
        and (read.format is not None or _suffix(file) in FORMATS)
    )
    if not files:
        raise CallersMistake(f"Asked to import the folder '{path}', but no data file is in it ({', '.join(FORMATS)}).")
    formats = {_format(file, read) for file in files}
    if len(formats) > 1:
        raise CallersMistake(
            f"Asked to import the folder '{path}', but it holds {' and '.join(sorted(formats))}. One folder is one "
            "export in one format; name the files, or a glob such as "
            f"'{path}/*.parquet'."
        )
    return Export(path, files, formats.pop(), is_folder=True)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    return Path(name).suffix


def _format(path: Path, read: Read) -> str:
    if read.format is not None:
        return read.format
    if _suffix(path) not in FORMATS:
        raise CallersMistake(
            f"Asked to import '{path.name}', but its name does not say what it is. Known are "
            f"{', '.join(FORMATS)} (also with .gz or .zst); or say 'read: {{format: csv}}' in the mapping."
        )
    return FORMATS[_suffix(path)]
