"""The best epoch is judged by the metric, then by the loss, then by who came first."""

from core.training.place import Place


def test_the_best_has_the_highest_value_then_the_lowest_loss_then_came_first() -> None:
    place, best = Place(), []
    for epoch, (value, loss) in enumerate([(0.8, 1.0), (0.9, 2.0), (0.9, 2.0), (0.9, 1.5), (0.8, 0.1), (0.95, 9.0)], 1):
        place.epoch = epoch
        if place.judge(value, loss):
            best.append(epoch)
    assert best == [1, 2, 4, 6]
    assert (place.best_epoch, place.best_value, place.best_loss) == (6, 0.95, 9.0)


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
