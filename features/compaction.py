"""Which small files a new one takes in, so that hourly exports do not leave thousands of them.

A file takes in those of its month and bucket that hold no more rows than it does by then, and small ones always: a
row is written again at most once each time that its file doubles, and a month and bucket keep few files for ever.
"""

from __future__ import annotations

from collections.abc import Iterable

from features.lake_manifest import LakeFile

SMALL_ROWS = 20_000  # written in hundredths of a second: always worth a file less to open


def worth_taking_in(n_rows: int, files: Iterable[LakeFile]) -> list[LakeFile]:
    """Those of the files of one month and bucket that a new file of `n_rows` takes in."""
    taken = []
    for file in sorted(files, key=lambda file: (file.n_rows, file.path)):
        if file.n_rows > max(n_rows, SMALL_ROWS):
            break
        taken.append(file)
        n_rows += file.n_rows
    return taken
