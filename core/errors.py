"""What can go wrong, as a code and values; the sentences of cause and remedy live in the word catalogues.

A page, the command line and a stored event all carry the same `code` and `values`, so that each can speak its own language.
"""

from core.words import Value, say


class ThawError(Exception):
    """A failure that a person can do something about.

    `code` is dotted and stable (`data.not_a_zip`); `values` fill the placeholders of its two sentences, which stand in the
    catalogues as `error.<code>.cause` and `error.<code>.remedy`.
    """

    def __init__(self, code: str, /, **values: Value) -> None:
        self.code = code
        self.values = values
        super().__init__(f"{self.cause} {self.remedy}")

    @property
    def cause(self) -> str:
        """One English sentence: what happened, naming the thing and the value."""
        return say(f"error.{self.code}.cause", "en", **self.values)

    @property
    def remedy(self) -> str:
        """One English sentence: the way out."""
        return say(f"error.{self.code}.remedy", "en", **self.values)


class DataError(ThawError):
    """Images or labels that cannot be used."""


class RecipeError(ThawError):
    """A choice that cannot be carried out."""


class WeightsError(ThawError):
    """Weights that are missing, damaged or do not fit."""


class StoreError(ThawError):
    """A run, data set or workspace that cannot be read or written."""


class CheckpointError(ThawError):
    """A checkpoint that is damaged or belongs to something else."""


class TrainingError(ThawError):
    """A run that cannot go on."""


class AccessError(ThawError):
    """Something that this person may not do, or not now."""


class Interrupted(Exception):
    """Stop here and keep what is done: it will be gone on with. For work that is asked whether it is cancelled."""


class ExportError(ThawError):
    """A model that cannot be exported, or whose export disagrees with the app."""
