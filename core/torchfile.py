"""Torchfile: what a file by `torch.save` declares, read from its table of contents before torch opens it. Knows no torch.

`torch.load` unpacks deflated records without a limit (190 KB became 200 MB) and allocates what an old-style file merely
declares. Here a file may declare what it holds, and nothing more.
"""

import os
import struct
import zipfile
from typing import BinaryIO

MAX_RECORDS = 100_000
"""A checkpoint of the largest classifier with AdamW and an average has about 12,000."""
MAX_PICKLE_BYTES = 64 * 2**20
"""Of the record that describes the tensors."""
ZIPPED = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files from before torch 1.6 begin: a magic number, pickled."""


class Declared(ValueError):
    """It declares more than it holds: `size` bytes in a file of `packed`."""

    def __init__(self, size: int, packed: int) -> None:
        super().__init__(f"it declares {size} bytes in a file of {packed}")
        self.size, self.packed = size, packed


def check(file: BinaryIO) -> bool:
    """Look at the header; True for today's format, False for that of before torch 1.6. The position is 0 afterwards.

    Raises ValueError if it is neither of them, is cut or tampered with, and `Declared` for a memory bomb.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(len(LEGACY))
    file.seek(0)
    if start == LEGACY:
        return False
    if not start.startswith(ZIPPED):
        raise ValueError("it was not written by torch.save")
    try:
        _check_zip(file, length)
    except (zipfile.BadZipFile, struct.error, EOFError, NotImplementedError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    file.seek(0)
    return True


def _check_zip(file: BinaryIO, length: int) -> None:
    file.seek(max(0, length - 65_557))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise ValueError("its table of contents is missing")
    count = int(struct.unpack_from("<H", tail, end + 10)[0])
    directory = int(struct.unpack_from("<L", tail, end + 12)[0])
    if directory != 0xFFFFFFFF and directory > min(length, MAX_RECORDS * 512):
        raise ValueError("its table of contents does not fit")
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_RECORDS or (count != 0xFFFF and count != len(infos)):
            raise ValueError(f"its table of contents lists {len(infos)} records")
        size = sum(info.file_size for info in infos)
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise Declared(size, length)
        if size > length or any(info.file_size != info.compress_size for info in infos):
            raise Declared(size, length)
        if any(info.flag_bits & 0x1 for info in infos):
            raise ValueError("it is encrypted")
        names = [info.filename for info in infos]
        if len(set(names)) != len(names):
            raise ValueError("two of its records have one name")
        pickles = [info for info in infos if info.filename.endswith("/data.pkl") or info.filename == "data.pkl"]
        if len(pickles) != 1 or pickles[0].file_size > MAX_PICKLE_BYTES:
            raise ValueError("it holds no description of tensors, or too long a one")
        if any("/code/" in name or name.startswith("code/") or name.endswith("constants.pkl") for name in names):
            raise ValueError("it is a TorchScript program")
        ordered = sorted(infos, key=lambda info: info.header_offset)
        ends = [info.header_offset + 30 + info.compress_size for info in ordered]
        starts = [info.header_offset for info in ordered[1:]] + [archive.start_dir]
        if any(stop > begin for stop, begin in zip(ends, starts, strict=True)):
            raise ValueError("two of its records overlap")
