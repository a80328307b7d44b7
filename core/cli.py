"""The command line: `thaw ui|examine|train|find-rate|sweep|resume|evaluate|predict|export|runs|doctor|backup|restore|…`.

Knows arguments, languages, statuses. Imports nothing heavy before a command needs it, and sets the thread environment before
torch can be imported. Every failure is a sentence of cause and one of remedy on standard error; a traceback goes to a log
file.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from core import log, process
from core.allocator import keep_freed
from core.errors import ThawError
from core.threads import set_threads
from core.words import LANGUAGES, Value, say

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
WEIGHTS = ("pretrained", "bundled", "random")
STRATEGIES = (
    "head", "last-stage", "last-two-stages", "layerwise", "full", "first-stages", "middle", "gradual", "lp-ft", "norm",
    "bias", "lora", "scratch",
)  # fmt: skip
FORMATS = ("safetensors", "onnx")
MODULES = {
    "examine": "examine",
    "train": "train",
    "find-rate": "find",
    "sweep": "sweep",
    "resume": "train",
    "evaluate": "use",
    "predict": "use",
    "export": "use",
    "runs": "look",
    "doctor": "look",
    "backup": "keep",
    "restore": "keep",
    "convert": "keep",
    "users": "users",
    "unit": "unit",
    "explain": "explain",
}
USERS = ("add", "list", "remove", "passwd", "class-password", "limits", "data", "share")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status: 0 only on success, 2 for wrong usage, 130 after Ctrl-C."""
    tongue = language()
    process.settle()
    _never_choke()
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or (given[0].startswith("-") and given[0] not in {"-h", "--help", "--version"}):
        given = ["ui", *given]
    try:
        args = parser(tongue).parse_args(given)
        if args.command == "ui":
            return _ui(args)
        set_threads(interactive=False)
        keep_freed()
        command = getattr(import_module(f"core.commands.{MODULES[args.command]}"), args.command.replace("-", "_"))
        status: int = command(args, tongue)
        sys.stdout.flush()
        return status
    except _UsageError as error:
        return _say("cli.usage", USAGE, tongue, reason=str(error), command=error.command)
    except ThawError as error:
        from core.console import complain

        complain(error, tongue)
        return FAILED
    except KeyboardInterrupt:
        print(say("cli.broken_off", tongue), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read us has gone, as `head` does; Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if known := process.out_of_files(error):
            return _say(known.code, FAILED, tongue, **known.values)
        return _say("internal.error", FAILED, tongue, name=type(error).__name__, log=_log(given, error))


def _never_choke() -> None:
    """What a terminal, a pipe or a file cannot show (Chinese on a Western Windows) becomes a mark instead of a failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def language() -> str:
    """`THAW_LANGUAGE`, else that of the terminal, else English."""
    said = (os.environ.get(name) for name in ("THAW_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    first = next((value for value in said if value), "en")[:2].lower()
    return first if first in LANGUAGES else "en"


def parser(tongue: str) -> argparse.ArgumentParser:
    """All commands and their flags, with help in the language `tongue`."""

    def words(key: str) -> str:
        return say(f"cli.help.{key}", tongue).replace("%", "%%")

    top = _Parser(prog="thaw", description=words("thaw"))
    top.add_argument("--version", action="version", version=f"thaw {_version()}", help=words("version"))
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, **positional: str | None) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=words(name), description=words(name))
        for argument, nargs in positional.items():
            made.add_argument(argument, metavar=argument.upper().removesuffix("S"), nargs=nargs, help=words(argument))
        made.add_argument("--workspace", metavar="DIR", help=words("workspace"))
        return made

    ui, unit = command("ui"), command("unit")
    for made in (ui, unit):
        made.add_argument("--port", type=int, default=8501, metavar="N", help=words("port"))
        made.add_argument("--address", default="127.0.0.1", metavar="A", help=words("address"))
        made.add_argument("--device", default="auto", metavar="D", help=words("device"))
        made.add_argument("--host", action="append", default=[], metavar="NAME", help=words("host"))
        made.add_argument("--cert", metavar="FILE", help=words("cert"))
        made.add_argument("--key", metavar="FILE", help=words("key"))
    ui.add_argument("--no-browser", action="store_true", help=words("no_browser"))
    unit.add_argument("--user", default="thaw", metavar="NAME", help=words("unit_user"))
    command("explain", code=None)

    command("examine", data=None).add_argument("--json", metavar="FILE", help=words("examined"))
    train, finder, sweep = (command(name, data=None) for name in ("train", "find-rate", "sweep"))
    for made in (train, finder, sweep):
        made.add_argument("--recipe", metavar="FILE", help=words("recipe"))
        made.add_argument("--backbone", metavar="NAME", help=words("backbone"))
        made.add_argument("--weights", metavar=f"{'|'.join(WEIGHTS)}|FILE", help=words("weights"))
        made.add_argument("--strategy", choices=STRATEGIES, help=words("strategy"))
        made.add_argument("--epochs", type=int, metavar="N", help=words("epochs"))
        made.add_argument("--batch-size", type=int, metavar="N", help=words("batch_size"))
        made.add_argument("--lr", type=float, metavar="X", help=words("lr"))
        made.add_argument("--image-size", type=int, metavar="N", help=words("image_size"))
        made.add_argument("--augment", metavar="NAME", help=words("augment"))
        made.add_argument("--seed", type=int, metavar="N", help=words("seed"))
        made.add_argument("--device", metavar="D", help=words("device"))
        made.add_argument("--name", metavar="TEXT", help=words("name"))
        made.add_argument("--reference", action="store_true", help=words("reference"))
        made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=words("set"))
    finder.add_argument("--part", metavar="PATH", help=words("part"))
    finder.add_argument("--json", metavar="FILE", help=words("found"))
    sweep.add_argument("--rates", type=int, default=100, metavar="N", help=words("rates"))
    sweep.add_argument("--decays", type=float, nargs="+", metavar="X", help=words("decays"))
    sweep.add_argument("--json", metavar="FILE", help=words("swept"))
    evaluate = command("evaluate", run=None, data=None)
    for made in (train, command("resume", run=None), evaluate):
        made.add_argument("--report", metavar="FILE", help=words("report"))
    predict = command("predict", run=None, images="+")
    export = command("export", run=None)
    export.add_argument("--format", choices=FORMATS, required=True, help=words("format"))
    export.add_argument("--out", metavar="FILE", help=words("out"))
    command("backup", file=None)
    command("restore", file=None)
    command("convert", weights_file=None).add_argument("--out", metavar="FILE", help=words("out"))
    for made in (predict, command("runs"), command("doctor")):
        made.add_argument("--json", action="store_true", help=words("json"))
    _users(command("users"), words)
    return top


def _users(made: argparse.ArgumentParser, words: Callable[[str], str]) -> None:
    made.add_argument("action", choices=USERS, metavar="ACTION", help=words("users_action"))
    made.add_argument("who", metavar="NAME", nargs="?", default="", help=words("users_who"))
    made.add_argument("--admin", action="store_true", help=words("users_admin"))
    made.add_argument("--generate", action="store_true", help=words("users_generate"))
    made.add_argument("--off", action="store_true", help=words("users_off"))
    made.add_argument("--disk", type=float, metavar="GB", help=words("users_disk"))
    made.add_argument("--queued", type=int, metavar="N", help=words("users_queued"))


class _UsageError(Exception):
    def __init__(self, reason: str, command: str) -> None:
        super().__init__(reason)
        self.command = command


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Two sentences instead of a page of usage."""
        raise _UsageError(message, self.prog)


def _ui(args: argparse.Namespace) -> int:
    from core.store import RunStore
    from core.workspace import open_workspace

    workspace = open_workspace(args.workspace)
    store = RunStore(workspace)  # what the server would trip over is said here, in words
    try:
        store.serve()
    finally:
        store.close()
    from ui.server import serve

    if bool(args.cert) != bool(args.key):
        raise ThawError("server.certificate_half")
    return serve(
        address=args.address,
        port=args.port,
        workspace=workspace,
        device=args.device,
        browser=not args.no_browser,
        names=args.host,
        certificate=(args.cert, args.key) if args.cert else None,
    )


def _version() -> str:
    try:
        return version("thaw")
    except PackageNotFoundError:
        return "?"


def _say(code: str, status: int, tongue: str, **values: Value) -> int:
    from core.console import sentences

    print(sentences(code, values, tongue), file=sys.stderr)
    return status


def _log(given: Sequence[str], error: Exception) -> str:
    """The log in the workspace that was asked for, or the default one."""
    from core.workspace import default_root

    said = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    said.add_argument("--workspace", type=Path, default=default_root())
    return log.record(said.parse_known_args(given)[0].workspace.expanduser(), error)


if __name__ == "__main__":
    sys.exit(main())
