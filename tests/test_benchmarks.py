"""The pure parts of the benchmark with peers: splits, sixteen strategies, ratios, targets, verdicts."""

import pytest

from benchmarks.peers import material, tasks
from benchmarks.peers.contenders import Entry, entries, policy
from benchmarks.peers.table import comparisons, figures, lines, main_table, ties


def row(task: str, contender: str, policy: str, seconds: float, **more: object) -> dict[str, object]:
    return {"task": task, "contender": contender, "policy": policy, "seconds": seconds, **more}


HEADS = [
    row("head", "thaw", "ours", 2.0),
    row("head", "thaw", "ours", 1.0),
    row("head", "thaw", "ours", 3.0),
    row("head", "timm", "defaults", 110.0, extrapolated=True),
    row("head", "fastai", "defaults", 120.0),
    row("head", "timm", "tuned", 10.0),
    row("head", "fastai", "tuned", 30.0),
]


def test_a_split_file_shares_out_every_image_once_and_the_classes_evenly():
    names = [f"set/{label}/{at}.jpg" for label in "abc" for at in range(20)]
    split = material.shared_out(names, train=30, val=6, seed=1)
    assert sorted(name for part in split.values() for name in part) == sorted(names)
    assert [[sum(name.split("/")[1] == label for name in split[part]) for label in "abc"] for part in split] == [
        [10, 10, 10],
        [2, 2, 2],
        [8, 8, 8],
    ]
    assert split == material.shared_out(names[::-1], train=30, val=6, seed=1)
    assert split != material.shared_out(names, train=30, val=6, seed=2)


def test_the_condensed_strategies_of_a_peer_stand_for_all_sixteen():
    assert len({tuple(pattern) for pattern in tasks.patterns()}) == 16
    assert [(pattern, weight) for pattern, weight in tasks.condensed()] == [
        (["fc"], 1),
        (["layer4.1", "fc"], 1),
        (["layer4.0", "fc"], 2),
        (["layer3.1", "fc"], 4),
        (["layer3.0", "fc"], 8),
    ]


def test_the_ratio_is_the_best_peers_median_over_ours_and_both_targets_must_be_met():
    (line,) = lines(figures(HEADS))
    assert str(line.ours) == "2.00 (1.00–3.00)"
    assert line.ratios == (55.0, 5.0)
    assert [str(peer[1]) for peer in line.peers if peer] == ["≈110", "10.0"]
    assert (line.target, line.met) == ("50× / 20×", "no, short by a factor of 4.00")


def test_a_peer_that_failed_leaves_a_gap_and_no_ratio():
    found = figures(
        [row("full", "thaw", "ours", 2.0), {"task": "full", "contender": "timm", "policy": "tuned", "error": "no"}]
    )
    (line,) = lines(found)
    assert (line.ratios, line.met) == ((None, None), "")
    assert main_table(found, {}).splitlines()[-1] == "| everything | 2.00 | – | – | – | – | 3× / 1.2× |  |"


def test_a_hundred_rates_of_a_peer_are_its_first_head_and_ninety_nine_like_its_second():
    rows = [*HEADS, row("head-again", "timm", "tuned", 8.0), row("sweep100", "thaw", "ours", 20.0)]
    sweep = figures(rows)["sweep100"]
    assert str(sweep[Entry("timm", "tuned")]) == "≈802"
    assert str(sweep[Entry("thaw", "ours")]) == "22.0"


def test_where_we_are_no_faster_is_said():
    rows = [row("full", "thaw", "ours", 2.0), row("full", "timm", "tuned", 2.2), row("full", "timm", "defaults", 1.0)]
    assert (
        ties(figures(rows)) == "We only tie in: everything (tuned, 1.10×). We are slower in: everything (defaults, 0.500×)."
    )


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((0.0, 0.001, 0.0, -0.001, 0.0), "not worse"),
        ((-0.02, -0.021, -0.02, -0.019, -0.02), "worse"),
        ((0.02, -0.02, 0.01, -0.01, 0.0), "not worse on average, not proven"),
        ((-0.03, 0.02, -0.02, 0.0, -0.01), "worse on average, not proven"),
    ],
)
def test_no_worse_is_only_said_where_the_interval_lies_above_the_margin(differences: tuple[float, ...], verdict: str):
    rows = []
    for seed, difference in enumerate(differences):
        rows.append(row("accuracy-head", "thaw", "ours", 0.9 + difference, detail={"seed": seed}))
        rows.append(row("accuracy-head", "timm", "tuned", 0.9, detail={"seed": seed}))
    (found,) = comparisons(rows)
    assert (found.verdict, found.seeds, found.peer) == (verdict, 5, Entry("timm", "tuned"))


def test_tuned_peers_get_our_augmentation_and_defaults_keep_their_own():
    for entry in entries(["thaw", "timm", "torchvision"], ["defaults", "tuned"], reference=False):
        told = policy(entry, augment="flip", cores=2, bf16=True)
        own = {"timm": "crop", "torchvision": "resized-crop"}
        assert told["augment"] == (own[entry.contender] if entry.policy == "defaults" else "flip")
