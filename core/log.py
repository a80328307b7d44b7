"""Where the whole story of an unexpected error goes, so that a person gets two sentences and a developer gets all of it."""

import traceback
from datetime import UTC, datetime
from pathlib import Path

NAME = "log.txt"


def record(folder: Path, error: BaseException) -> str:
    """Append the traceback of `error` to the log in `folder`; gives its path, or '-' if it cannot be written."""
    file = folder / NAME
    text = "".join(traceback.format_exception(error))
    try:
        with file.open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')}\n{text}\n")
    except OSError:
        return "-"
    return str(file)
