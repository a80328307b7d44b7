"""Each file becomes an image under the hash of its bytes or is kept out with a reason, in the order of the files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from core.dataset import journal, reader
from core.dataset.quarantine import Candidate
from core.dataset.record import Part, Skipped, remains_name
from core.dataset.taking import Labelled, take, whole

Picture = Callable[..., bytes]


def refused() -> bytes:
    raise PermissionError(13, "Permission denied")


def test_outcomes_come_in_the_order_of_the_files_and_each_was_begun(tmp_path: Path, picture: Picture) -> None:
    data = {f"cats/{number}.png": picture(number) for number in range(50)}
    files = [Labelled(name, "cats", None, lambda name=name: data[name]) for name in data]
    files += [Labelled("cats/text", "cats", "val", lambda: b"text"), Labelled("cats/mine", "cats", None, refused)]
    begun: list[str] = []
    found = list(take(files, tmp_path, threads=4, begin=lambda file: begun.append(file.name)))
    assert [file.name for file, _ in found] == [file.name for file in files]
    assert sorted(begun) == sorted(file.name for file in files)
    *images, text, mine = [what for _, what in found]
    assert [one.sha256 for one in images if isinstance(one, Candidate)] == [
        hashlib.sha256(one).hexdigest() for one in data.values()
    ]
    assert text == Skipped("cats/text", "image.not_an_image", {"name": "cats/text"})
    assert mine == Skipped("cats/mine", "data.unreadable", {"name": "cats/mine", "reason": "Permission denied"})
    assert {path.read_bytes() for path in tmp_path.iterdir()} == set(data.values())


def test_of_a_refused_picture_a_small_one_is_kept_of_what_can_be_seen(tmp_path: Path, picture: Picture) -> None:
    jpeg = picture(1, "JPEG", size=(480, 400))
    given = {"cut.jpg": jpeg[: len(jpeg) // 2], "tiny.png": picture(2, size=(6, 4)), "text.png": b"text"}
    files = [Labelled(name, "a", None, lambda data=data: data) for name, data in given.items()]
    cut, tiny, text = [what for _, what in take(files, tmp_path, threads=1)]
    assert isinstance(cut, Skipped)
    assert isinstance(tiny, Skipped)
    assert isinstance(text, Skipped)
    assert (cut.code, tiny.code, text.code) == ("image.damaged", "image.too_small", "image.not_an_image")
    assert (cut.part is not None, tiny.part, text.part, text.remains) == (True, None, None, "")
    for left, data, size in ((cut, given["cut.jpg"], (160, 133)), (tiny, given["tiny.png"], (6, 4))):
        assert left.remains == hashlib.sha256(data).hexdigest()
        with Image.open(tmp_path / remains_name(left.remains)) as small:
            assert small.size == size


def test_a_half_written_file_under_the_name_of_an_image_is_written_anew(tmp_path: Path, picture: Picture) -> None:
    data = picture(1)
    place = tmp_path / f"{hashlib.sha256(data).hexdigest()}.png"
    place.write_bytes(data[:10])
    [(_, what)] = take([Labelled("a", "a", None, lambda: data)], tmp_path, threads=1)
    assert isinstance(what, Candidate)
    assert place.read_bytes() == data


def test_only_files_with_their_bytes_count_as_whole(tmp_path: Path, picture: Picture) -> None:
    pictures = [picture(number) for number in range(4)]
    files = [Labelled(str(number), "a", None, lambda data=data: data) for number, data in enumerate(pictures)]
    images = [what for _, what in take(files, tmp_path, threads=2) if isinstance(what, Candidate)]
    one, other, gone, kept = (tmp_path / f"{image.sha256}.png" for image in images)
    one.write_bytes(b"")
    other.write_bytes(bytes(other.stat().st_size))
    gone.unlink()
    assert whole(images, tmp_path) == {images[3].sha256}
    assert sorted(tmp_path.iterdir()) == [kept]


def test_a_part_of_a_broken_photo_that_was_lost_is_made_again_and_one_that_lies_there_is_not(
    tmp_path: Path, picture: Picture
) -> None:
    data = picture(1, "JPEG", size=(96, 80))
    for name, content in {"cats/cut.jpg": data[: len(data) // 2], "dogs/a.png": picture(2)}.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    folder = tmp_path / "here"
    folder.mkdir()

    def read_it() -> tuple[list[str], Part]:
        place = journal.following(folder)
        reader.read(tmp_path / "set", folder, place, threads=1)
        steps = journal.steps(place)
        [part] = [s.what.part for s in steps if isinstance(s, journal.Outcome) and isinstance(s.what, Skipped)]
        assert part is not None
        return [step.name for step in steps if isinstance(step, journal.Begun)], part

    begun, part = read_it()
    assert begun == ["cats/cut.jpg", "dogs/a.png"]
    assert read_it() == ([], part)
    (folder / f"{part.sha256}.jpg").unlink()
    assert read_it() == (["cats/cut.jpg"], part)
    assert hashlib.sha256((folder / f"{part.sha256}.jpg").read_bytes()).hexdigest() == part.sha256
