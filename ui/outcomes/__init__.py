"""What the pages about runs ask: what came out, which pictures lie behind a figure, how runs differ, what a model answers.

A part of the door to core that `services` is. Knows no widget and no session; what is slow is a job.
"""

from ui.outcomes.answers import KEPT, MOST_PICTURES, Guess, predict
from ui.outcomes.files import MODEL, ONNX, download_url, export, export_job, exported, image_url, usage, weights_bytes
from ui.outcomes.listed import (
    MOST_OFFERED,
    active,
    binned,
    can_resume,
    count,
    delete,
    empty_bin,
    find,
    has_model,
    pause,
    rename,
    restore,
    resume,
    run_state,
    runs,
    to_try,
    with_model,
)
from ui.outcomes.tested import Prediction, behind, differences, interval, majority_class, predictions, right

__all__ = [
    "KEPT",
    "MODEL",
    "MOST_OFFERED",
    "MOST_PICTURES",
    "ONNX",
    "Guess",
    "Prediction",
    "active",
    "behind",
    "binned",
    "can_resume",
    "count",
    "delete",
    "differences",
    "download_url",
    "empty_bin",
    "export",
    "export_job",
    "exported",
    "find",
    "has_model",
    "image_url",
    "interval",
    "majority_class",
    "pause",
    "predict",
    "predictions",
    "rename",
    "restore",
    "resume",
    "right",
    "run_state",
    "runs",
    "to_try",
    "usage",
    "weights_bytes",
    "with_model",
]
