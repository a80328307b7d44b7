"""Data sets: import, open, split, summarise. Free of torch; pixels for a network come from `core.dataset.pixels`."""

from core.dataset.demos import DEMOS, Demo, sheet
from core.dataset.edits import Edit, Standing, decide, holding, read_edits, standing, undo
from core.dataset.importing import Unfinished, import_dataset, unfinished
from core.dataset.library import delete_dataset, drawn, list_datasets, open_dataset, open_imported, open_like, pinned
from core.dataset.quarantine import Refused
from core.dataset.record import Dataset, Item, Notice, Skipped, Split
from core.dataset.splits import Splits, split
from core.dataset.summary import Spread, Summary, problems, summarise

__all__ = [
    "DEMOS",
    "Dataset",
    "Demo",
    "Edit",
    "Item",
    "Notice",
    "Refused",
    "Skipped",
    "Split",
    "Splits",
    "Spread",
    "Standing",
    "Summary",
    "Unfinished",
    "decide",
    "delete_dataset",
    "drawn",
    "holding",
    "import_dataset",
    "list_datasets",
    "open_dataset",
    "open_imported",
    "open_like",
    "pinned",
    "problems",
    "read_edits",
    "sheet",
    "split",
    "standing",
    "summarise",
    "undo",
    "unfinished",
]
