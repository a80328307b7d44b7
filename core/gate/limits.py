"""Limits: what one person may take of a machine that many share. Knows numbers and folders; nothing of who asks."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from core.errors import AccessError


class Limits(BaseModel):
    """What each person may take. Those who keep the machine (admins) are not limited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    disk_bytes: int = Field(default=20 * 2**30, ge=2**20, le=2**50)
    """Data sets, runs and uploads together: a class of thirty fills a disk of 600 GB."""
    queued: int = Field(default=5, ge=1, le=1000)
    """Runs that wait, beside those at work."""
    uploads: int = Field(default=16, ge=1, le=1000)
    """Files in flight; a browser tab sends eight at a time."""
    held_bytes: int = Field(default=2**29, ge=2**20, le=2**40)
    """Sent through Streamlit's own uploader within ten minutes: such files lie in memory."""

    def changed(self, **values: int) -> Self:
        """The same with other values. Raises AccessError (`gate.limit`) if one is out of range."""
        try:
            return type(self).model_validate({**self.model_dump(), **values})
        except ValueError as error:
            raise AccessError("gate.limit", name=", ".join(values)) from error


def weigh(folders: Iterable[Path]) -> int:
    """Bytes of all files in `folders` and below, links not followed; what vanishes meanwhile weighs nothing."""
    total, todo = 0, [*folders]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total
