"""The best epoch is judged by the metric as far as chance allows, then by the loss, then by who came first."""

from core.training.place import Place


def test_the_best_has_the_highest_value_then_the_lowest_loss_then_came_first() -> None:
    place, best = Place(), []
    for epoch, (value, loss) in enumerate([(0.8, 1.0), (0.9, 2.0), (0.9, 2.0), (0.9, 1.5), (0.8, 0.1), (0.95, 9.0)], 1):
        place.epoch = epoch
        if place.judge(value, loss):
            best.append(epoch)
    assert best == [1, 2, 4, 6]
    assert (place.best_epoch, place.best_value, place.best_loss) == (6, 0.95, 9.0)


def judged(epochs: list[tuple[float, float]], images: int) -> tuple[list[int], Place]:
    place, best = Place(), []
    for epoch, (value, loss) in enumerate(epochs, 1):
        place.epoch = epoch
        if place.judge(value, loss, images):
            best.append(epoch)
    return best, place


def test_a_lucky_early_epoch_gives_way_to_one_that_is_as_good_within_chance_and_has_a_lower_loss() -> None:
    """Measured: the head of ResNet-18 on 600 hands. Epoch 2 named 88.9 % of 1,362 test images right, epoch 6 92.1 %."""
    epochs = [(0.77, 0.776), (0.93, 0.427), (0.91, 0.359), (0.92, 0.331), (0.91, 0.314), (0.91, 0.313)]
    best, place = judged(epochs, 100)
    assert best == [1, 2, 3, 4, 5, 6]
    assert (place.best_value, place.highest) == (0.91, 0.93)
    assert judged(epochs, 10_000)[0] == [1, 2], "so many images would tell them apart"


def test_what_is_clearly_better_counts_whatever_its_loss_and_what_is_clearly_worse_never() -> None:
    assert judged([(0.7, 0.5), (0.9, 0.9), (0.8, 0.1)], 100)[0] == [1, 2]
    assert judged([(1.0, 0.5), (0.99, 0.1), (1.0, 0.4)], 100)[0] == [1, 3], "all right: there is no error to allow for"


def test_a_run_that_goes_on_from_before_knows_the_highest_by_its_best() -> None:
    place = Place(best_epoch=3, best_value=0.95, best_loss=0.2)
    assert not place.judge(0.85, 0.1, 100)
    assert place.judge(0.94, 0.1, 100)
    assert (place.stale, place.highest) == (2, 0.95)


def test_patience_counts_epochs_without_gain_in_the_metric() -> None:
    place = Place()
    stale = []
    for value, loss in [(0.5, 1.0), (0.5, 0.9), (0.5, 0.8), (0.6, 1.0)]:
        place.judge(value, loss)
        stale.append(place.stale)
    assert stale == [0, 1, 2, 0]


def test_the_epoch_reached_is_that_of_the_last_step() -> None:
    assert Place().reached == 0
    assert Place(epoch=3, offset=2).reached == 3
    assert Place(epoch=3).reached == 2
