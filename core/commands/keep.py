"""`thaw backup`, `thaw restore` and `thaw convert`: what is kept, brought back, or brought in from outside."""

import argparse
from pathlib import Path

from core.commands.shared import opened
from core.console import Screen, plain
from core.words import say
from core.workspace import open_workspace


def backup(args: argparse.Namespace, language: str) -> int:
    """`thaw backup FILE`: the whole workspace in one file, while runs go on."""
    from core.backup import back_up

    screen = Screen(language)
    with opened(args) as store:
        made = back_up(store, Path(args.file).expanduser(), progress=screen.progress("cli.backup.working"))
    screen.close()
    size = f"{made.size_bytes / 2**20:.1f} MiB"
    print(say("cli.backup.done", language, path=plain(str(made.path)), size=size, n=made.files, runs=made.runs))
    return 0


def restore(args: argparse.Namespace, language: str) -> int:
    """`thaw restore FILE`: a backup into a workspace that is empty."""
    from core.backup import restore as bring

    screen = Screen(language)
    workspace = open_workspace(args.workspace)
    made = bring(Path(args.file).expanduser(), workspace, progress=screen.progress("cli.backup.working"))
    screen.close()
    print(say("cli.restore.done", language, path=plain(str(workspace.root)), n=made.files, runs=made.runs))
    return 0


def convert(args: argparse.Namespace, language: str) -> int:
    """`thaw convert FILE.pt`: weights by torch.save as a .safetensors file, read in a child process that can do nothing."""
    from core.backbones.convert import convert as turn

    source = Path(args.weights_file).expanduser()
    out = Path(args.out).expanduser() if args.out else source.with_suffix(".safetensors")
    made = turn(source, out)
    print(say("cli.convert.done", language, path=plain(str(out)), n=made.tensors, sha256=made.sha256))
    return 0
