"""What frozen blocks say about the images of a run, at hand while plans come and go. Knows nothing of steps and batches."""

from collections.abc import Callable, Iterator

import torch

from core.errors import DataError
from core.events import Glance, Kept, Notice, Preparing
from core.recipe import Recipe
from core.training.features import Features
from core.training.glance import glance, possible
from core.training.learner import Learner
from core.training.material import Material, Watched
from core.training.place import Place
from core.workspace import Workspace


class Frozen:
    """Of one attempt at a run."""

    def __init__(self, learner: Learner, material: Material, workspace: Workspace) -> None:
        self._learner = learner
        self._material = material
        self._workspace = workspace
        self._features: Features | None = None
        self._told = self._crowded = False
        """It was said what is kept now; that there is no room for it."""

    def current(self) -> Features | None:
        """What is kept, if it is of the trunk of now."""
        trunk = self._learner.outlook.trunk
        known = self._features is not None and trunk is not None and self._features.trunk.key == trunk.key
        return self._features if known else None

    def replanned(self) -> None:
        """Other blocks learn, or at other rates: what is kept afterwards is said anew."""
        self._told = False

    def prepare(
        self, recipe: Recipe, place: Place, told: Callable[[], bool]
    ) -> Iterator[Preparing | Kept | Glance | Notice]:
        """Load or work out what the epoch at work needs, where that is kept. Gives up when `told`."""
        outlook, epoch = self._learner.outlook, place.epoch
        trunk = outlook.trunk if outlook.kept else None
        features = self.current()
        if trunk is None:
            self._features = None
            return
        if features is None:
            features = Features(trunk, self._material, recipe, self._workspace, views=outlook.views)
            if self._features is not None:
                features.build_on(self._features)
        if features.missing(epoch):
            yield from self._fetch(features, epoch, told)
        if features.missing(epoch):
            return
        self._features = features
        if not self._told:
            self._told = True
            yield Kept(
                step=place.step,
                block=trunk.place.path,
                share=round(trunk.place.below, 4),
                views=features.views,
                size_bytes=features.size_bytes,
                seconds_per_image=features.seconds_per_image,
            )
            if not place.step:
                yield from self._glance(features)

    def _fetch(self, features: Features, epoch: int, told: Callable[[], bool]) -> Iterator[Preparing | Notice]:
        learner, threads = self._learner, torch.get_num_threads()
        if not features.has_room(epoch):
            if not self._crowded:
                yield Notice(code="training.no_room_to_keep", values={"megabytes": round(features.size_bytes / 2**20)})
            self._crowded = True
            return
        try:
            yield from Watched(
                Preparing(what="features", done=0, total=features.count(epoch)),
                lambda progress, cancelled: features.prepare(
                    epoch, learner.activations, learner.through, learner.device, threads, progress, cancelled
                ),
                told,
            )
        except DataError as error:
            if error.code != "data.cancelled":
                raise

    def _glance(self, features: Features) -> Iterator[Glance]:
        material = self._material
        train, val = features.train(1, torch.arange(len(material.train))), features.val()
        if train is not None and possible(train):
            judged = None if val is None else (val, material.val.labels)
            yield glance((train, material.train.labels), judged, len(material.dataset.classes))
