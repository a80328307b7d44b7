"""`thaw unit`: a unit for systemd that keeps Thaw running under a user of its own, printed and not installed."""

import argparse
import shlex
import sys
from pathlib import Path, PurePosixPath
from string import Template

from core.errors import ThawError

TEMPLATE = Path(__file__).resolve().parent.parent.parent / "assets" / "thaw.service"
HOME = PurePosixPath("/var/lib")


def unit(args: argparse.Namespace, language: str) -> int:
    """`thaw unit [flags of thaw ui]`. Raises ThawError (`cli.unit_path`) if a path cannot stand in a unit."""
    own = args.workspace is None
    home = Path(HOME / "thaw") if own else Path(args.workspace).expanduser().absolute()
    thaw = Path(sys.executable).with_name("thaw")
    flags = ["--no-browser", "--workspace", str(home), "--address", args.address, "--port", str(args.port)]
    flags += [part for name in args.host for part in ("--host", name)]
    flags += [
        part for flag in ("device", "cert", "key") if getattr(args, flag) for part in (f"--{flag}", getattr(args, flag))
    ]
    text = Template(TEMPLATE.read_text("utf-8")).substitute(
        user=_quoted(args.user),
        home=_quoted(f"HOME={home}"),
        shown=shlex.quote(str(home)),
        thaw=shlex.quote(str(thaw)),
        command=" ".join(_quoted(part).replace("$", "$$") for part in (str(thaw), "ui", *flags)),
        state="StateDirectory=thaw\nStateDirectoryMode=0700"
        if own
        else "# The workspace has to be there, and to be that user's.",
        writable=_quoted(str(home)),
    )
    print(text, end="")
    return 0


def _quoted(part: str) -> str:
    """As one word of a unit: systemd.service(5), "Command lines"."""
    if any(not letter.isprintable() for letter in part):
        raise ThawError("cli.unit_path", path=part)
    escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if escaped != part or " " in part or "'" in part else part
