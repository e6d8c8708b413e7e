"""A text file in an encoding that DuckDB does not read, written anew as UTF-8.

DuckDB reads UTF-8, UTF-16 and latin-1; for others it fetches an extension from the network. A byte that the encoding
does not know stays as it is: it is no UTF-8, so that its line is refused by itself and not the whole file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa

RECODED = {"windows-1252": "cp1252"}
_CHUNK = 1 << 22


def recoded(path: Path, *, encoding: str, folder: Path, compression: str | None) -> Path:
    """The file as UTF-8, in a file of its own without compression.

    Args:
        path: the file.
        encoding: its, one of `RECODED`: a byte is a character there, so that a file can be cut anywhere.
        folder: where the new file is written; whoever asks removes it.
        compression: as Arrow calls it; None where there is none.
    """
    with (
        pa.input_stream(str(path), compression=compression) as file,
        tempfile.NamedTemporaryFile(dir=folder, suffix=".txt", delete=False) as written,
    ):
        while chunk := file.read(_CHUNK):
            text = chunk.decode(RECODED[encoding], "surrogateescape")
            written.write(text.encode("utf-8", "surrogateescape"))
    return Path(written.name)
