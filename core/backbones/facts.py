"""Card: what there is to know about a backbone before it is built. Plain data, no torch."""

from dataclasses import dataclass

from core.errors import RecipeError

SMALLEST, LARGEST = 16, 1024
"""Sides of an image that a recipe can ask for."""


@dataclass(frozen=True, slots=True)
class Card:
    """One backbone on the shelf."""

    name: str
    """The identity, as in recipes and on the command line."""
    source: str
    """'torchvision' or 'bundled'."""
    family: str
    """One architecture in several sizes; its one-liner stands in the catalogues as `family.<family>`."""
    title: str
    """The name as people write it."""
    parameters: int
    """Numbers that can learn, with the original head for 1,000 classes."""
    gflops: float
    """Thousand million multiply-adds for one image of `image_size`, as torchvision publishes them."""
    weights_bytes: int
    """Size of the weights file; 0 if there is none."""
    top1: float | None
    """Published top-1 accuracy on ImageNet-1k's validation images, in percent."""
    image_size: int
    """Side of the images that the weights were tested with, in pixels."""
    min_size: int
    """Smallest side that the network can work with."""
    licence: str
    """SPDX name of the licence of weights and code; its meaning stands in the catalogues as `licence.<licence>`."""
    weights: tuple[str, ...]
    """Kinds that exist, the best first: 'bundled', 'pretrained', 'random'."""
    local: bool = False
    """Trained weights are on this machine."""
    size_step: int = 1
    """Sides must be a multiple of this."""
    url: str = ""
    """Where the weights are published."""

    @property
    def file(self) -> str:
        """Name of the weights file; '' if there is none."""
        return self.url.rpartition("/")[2]

    def allows(self, size: int) -> bool:
        """The network can work with images of side `size`."""
        return size >= self.min_size and size % self.size_step == 0

    def nearest_size(self, size: int) -> int:
        """The side nearest to `size` that the network can work with, the larger of two."""
        lowest = -(-max(self.min_size, SMALLEST) // self.size_step) * self.size_step
        highest = LARGEST // self.size_step * self.size_step
        return min(max(int(size / self.size_step + 0.5) * self.size_step, lowest), highest)

    def check_image_size(self, size: int) -> None:
        """Raises RecipeError (`backbone.image_too_small`, `backbone.image_step`) if the network cannot work with `size`."""
        if size < self.min_size:
            raise RecipeError("backbone.image_too_small", name=self.name, size=size, least=self.nearest_size(self.min_size))
        if size % self.size_step:
            near = self.nearest_size(size)
            raise RecipeError("backbone.image_step", name=self.name, size=size, step=self.size_step, near=near)
