"""Event: everything a run says; Command: everything a run can be told. Plain frozen data that serialises to JSON.

Equal recipes and amendments on one machine give equal event streams but for `clock` and what `FirstSteps`, `Kept` and
`Glance` have measured: wall time and memory.
"""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from core.recipe import BlockRule

Outcome = Literal["finished", "stopped", "paused", "interrupted", "discarded", "failed"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    clock: float = Field(default=0.0, description="Seconds of work on this run so far, pauses left out. Never compared.")


class Preparing(_Event):
    """Work before the first step of a run or of an epoch: `done` of `total` units of `what` (images, weights)."""

    kind: Literal["preparing"] = "preparing"
    what: Literal["data", "weights", "model", "features"]
    done: int
    total: int


class GroupInfo(BaseModel):
    """One parameter group as the optimizer received it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    lr_scale: float
    parameters: int


class Started(_Event):
    """The first step is next (of the run, or of its continuation after a pause)."""

    kind: Literal["started"] = "started"
    device: str
    precision: str
    threads: int
    versions: dict[str, str]
    fingerprint: str = Field(description="Of the data set.")
    classes: tuple[str, ...]
    splits: dict[str, int]
    parameters_total: int
    parameters_trainable: int
    groups: tuple[GroupInfo, ...]
    held: tuple[str, ...] = Field(description="Paths of the blocks held in eval because they are frozen.")
    steps_per_epoch: int
    epochs: int
    step: int = Field(description="Steps done before: 0, or where a continuation begins.")


class Kept(_Event):
    """What the frozen blocks say about the images is kept from now on: an epoch only does what comes after them."""

    kind: Literal["kept"] = "kept"
    step: int = Field(description="Steps done before.")
    block: str = Field(description="Path of the last one whose answers are kept.")
    share: float = Field(description="Of the forward pass that falls away.")
    views: int = Field(description="Random changes of each training image that take turns; 1: nothing is changed by chance.")
    size_bytes: int = Field(description="Of all views and the validation images.")
    seconds_per_image: float | None = Field(description="That working one out took; None if they were there from before.")


class Glance(_Event):
    """What a head solved in closed form reaches on the kept activations: a first number, before anything was learned."""

    kind: Literal["glance"] = "glance"
    right: int = Field(description="Images that it answers rightly.")
    images: int
    split: Literal["val", "train"] = Field(description="'train' where nothing validates: each judged without itself.")
    left_out: float = Field(description="Accuracy on the training images, each by the head learned from all others.")
    seconds: float


class FirstSteps(_Event):
    """What a step costs, told once after the second one, or the only one: the first has more to set up than to do.

    Runs of older versions made a trial step before the first and called it `preflight`.
    """

    kind: Literal["first_steps", "preflight"] = "first_steps"
    seconds_per_step: float
    memory_bytes: int = Field(description="The most that was held on a GPU; on a CPU what the whole process held.")


class Replanned(_Event):
    """From the next step on other blocks learn, or at other rates: a person said so, or the timeline of the recipe."""

    kind: Literal["replanned"] = "replanned"
    cause: Literal["person", "timeline"]
    step: int = Field(description="Steps done before.")
    epoch: int
    rules: tuple[BlockRule, ...] = Field(description="All that hold from now on, those of the timeline included.")
    lr: float = Field(description="Base learning rate, before the schedule.")
    parameters_trainable: int
    groups: tuple[GroupInfo, ...]
    held: tuple[str, ...]


class Memory(_Event):
    """The device ran out of memory and the step was repeated in smaller parts, whose gradients are added up."""

    kind: Literal["memory"] = "memory"
    step: int = Field(description="Steps done before.")
    images_at_once: int = Field(description="From now on; a step learns from as many images as before.")


class Reading(NamedTuple):
    """What one step did to one block's own weights and statistics: Euclidean lengths. None where it is no finite number."""

    gradient: float | None
    """Of its weights, before clipping."""
    update: float | None
    """By how much the step moved them."""
    weight: float | None
    """Of the weights themselves; update / weight is the ratio by which they moved."""
    distance: float | None
    """From the weights at the start of the run. Exactly 0 for a frozen block."""
    drift: float | None
    """The same of its statistics (BatchNorm). Exactly 0 for a frozen block."""


class Readings(_Event):
    """The instruments after a step: a reading by path of each block that owns weights or statistics itself."""

    kind: Literal["readings"] = "readings"
    step: int = Field(description="1-based: the step that was measured.")
    epoch: int
    blocks: dict[str, Reading]


class Frame(BaseModel):
    """One image of the film strip."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    image: str = Field(description="SHA-256 of the file.")
    label: int
    said: int = Field(description="The class that the model names first.")
    confidence: float = Field(description="Its probability.")
    truth: float = Field(description="Probability of the image's own class.")


class Film(_Event):
    """What the model says after an epoch about the same few validation images."""

    kind: Literal["film"] = "film"
    epoch: int
    step: int
    frames: tuple[Frame, ...]


class StepDone(_Event):
    """One optimizer step. `loss` is the mean over its images; None if it is not a finite number."""

    kind: Literal["step"] = "step"
    step: int = Field(description="1-based.")
    epoch: int = Field(description="1-based.")
    loss: float | None
    correct: int
    images: int
    lr: float = Field(description="Base learning rate of this step; a group's own rate is this times its lr_scale.")


class Measuring(_Event):
    """Validation after an epoch, or the test at the end: `done` of `total` images of the split were looked at."""

    kind: Literal["measuring"] = "measuring"
    what: Literal["val", "test"]
    done: int
    total: int


class EpochDone(_Event):
    """Training and validation figures of one epoch. Losses are means over images; None where there is nothing to measure."""

    kind: Literal["epoch"] = "epoch"
    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    val_macro_f1: float | None
    best: bool = Field(description="This epoch is the best so far by the chosen metric.")


class Saved(_Event):
    """A checkpoint is on the disk, whole and verified."""

    kind: Literal["saved"] = "saved"
    step: int
    epoch: int
    file: str = Field(description="Name inside the run's folder.")
    sha256: str
    size_bytes: int
    best: bool


class Pinned(_Event):
    """A person has kept this moment: the model as it was lies in a file of its own, which no retention touches."""

    kind: Literal["pinned"] = "pinned"
    step: int = Field(description="Steps done before.")
    epoch: int
    name: str
    file: str = Field(description="Name inside the run's folder.")
    sha256: str
    size_bytes: int


class Notice(_Event):
    """Something a person should know, as a code of the word catalogues (`notice.<code>`) and its values."""

    kind: Literal["notice"] = "notice"
    code: str
    values: dict[str, str | int | float] = {}


class ClassScore(BaseModel):
    """Figures of one class. None where they are not defined (no image of the class, or none predicted)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    support: int
    found: int = Field(description="Images of this class that the model called so.")
    predicted: int = Field(description="Images that the model called so, rightly or not.")
    precision: float | None
    recall: float | None
    f1: float | None


class Scores(BaseModel):
    """A classifier's figures on a set of images."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    images: int
    loss: float
    accuracy: float
    macro_f1: float
    per_class: tuple[ClassScore, ...]
    confused: tuple[tuple[int, int, int], ...] = Field(
        description="(i, j, n), n > 0, ascending: n images of class i were called class j. All other pairs were never met."
    )
    majority_accuracy: float = Field(description="Accuracy of always naming the class most frequent in training.")

    @model_validator(mode="before")
    @classmethod
    def _of_a_matrix(cls, said: Any) -> Any:
        """Earlier runs wrote `confusion`, all of the matrix, zeros too: with 10,000 classes that would be 200 MB."""
        if not isinstance(said, dict) or "confusion" not in said:
            return said
        rest = {name: value for name, value in said.items() if name != "confusion"}
        try:
            rows = enumerate(said["confusion"])
            return {**rest, "confused": [(i, j, n) for i, row in rows for j, n in enumerate(row) if n]}
        except TypeError as error:
            raise ValueError("confusion is no matrix") from error


class Tested(_Event):
    """The restored best model, measured once on `split`. Per-image predictions lie in `file` of the run's folder."""

    kind: Literal["tested"] = "tested"
    split: Literal["val", "test"]
    epoch: int = Field(description="The epoch whose weights were measured.")
    scores: Scores
    file: str


class Ended(_Event):
    """The last event of an attempt. A failure carries the code and values of its two sentences."""

    kind: Literal["ended"] = "ended"
    outcome: Outcome
    step: int = 0
    epoch: int = 0
    best_epoch: int | None = None
    reason: str = Field(
        default="", description="Why it ended early: 'early_stop', 'user', 'shutdown', 'lost', 'device', 'limit' or ''."
    )
    code: str = ""
    values: dict[str, str | int | float] = {}


Event = Annotated[
    Preparing
    | Started
    | Kept
    | Glance
    | StepDone
    | FirstSteps
    | Replanned
    | Memory
    | Readings
    | Measuring
    | EpochDone
    | Film
    | Saved
    | Pinned
    | Notice
    | Tested
    | Ended,
    Field(discriminator="kind"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stop(_Command):
    """End now, restore the best weights, test them: state `stopped`."""

    kind: Literal["stop"] = "stop"


class Pause(_Command):
    """Save, free the device, and wait to be resumed: state `paused`."""

    kind: Literal["pause"] = "pause"


class Discard(_Command):
    """End now and keep no weights: state `discarded`."""

    kind: Literal["discard"] = "discard"


class Interrupt(_Command):
    """The server goes down: save and end within seconds: state `interrupted`."""

    kind: Literal["interrupt"] = "interrupt"


class Amend(_Command):
    """From the next step on: other rules, another base learning rate, or both. The run goes on."""

    kind: Literal["amend"] = "amend"
    rules: tuple[BlockRule, ...] | None = Field(default=None, description="All that shall hold; None: as they are.")
    lr: float | None = Field(default=None, gt=0.0, le=10.0, description="None: as it is.")


class Pin(_Command):
    """Keep the model as it is before the next step, under a name. The run goes on."""

    kind: Literal["pin"] = "pin"
    name: str = Field(min_length=1, max_length=80)


Command = Annotated[Stop | Pause | Discard | Interrupt | Amend | Pin, Field(discriminator="kind")]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
