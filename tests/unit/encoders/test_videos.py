"""Decoding videos: the sampled frames are OpenCV's, and the number of frames is that of the frames."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from expclip_cache.base.errors import DataError, FileAccessError
from expclip_cache.datasets.sampling import sample_indices
from expclip_cache.encoders import videos
from expclip_cache.encoders.videos import decode_video, frames_every, stated_seconds
from videos import CODECS, moving_frames, read_with_opencv, write_video


def decoded(content: bytes, frames: int = 16, rule="edge") -> list[np.ndarray]:
    return [np.asarray(image) for image in decode_video(io.BytesIO(content), frames, rule)]


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("count", [1, 16, 17, 50])
def test_the_sampled_frames_are_those_of_a_plain_loop(tmp_path, suffix, count):
    file = tmp_path / f"clip{suffix}"
    write_video(file, moving_frames(count))
    every = read_with_opencv(file)
    assert len(every) == count
    for rule in ("edge", "first"):
        expected = [every[index] for index in sample_indices(count, 16, rule)]
        np.testing.assert_array_equal(decoded(file.read_bytes(), 16, rule), expected)


@pytest.mark.parametrize("stated", [0, 7, 24, 100, 2**31 - 1])
def test_the_count_in_the_header_is_not_believed(tmp_path, stated):
    """The header of an AVI, in which the number of frames is written twice."""
    file = tmp_path / "clip.avi"
    write_video(file, moving_frames(40))
    every = read_with_opencv(file)
    content = bytearray(file.read_bytes())
    struct.pack_into("<I", content, content.index(b"avih") + 8 + 16, stated)
    struct.pack_into("<I", content, content.index(b"strh") + 8 + 32, stated)
    (tmp_path / "lies.avi").write_bytes(content)
    found = cv2.VideoCapture(str(tmp_path / "lies.avi"), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)
    if stated:
        assert found != 40
    np.testing.assert_array_equal(decoded(bytes(content)), [every[index] for index in sample_indices(40, 16, "edge")])


def test_a_video_is_turned_upright(tmp_path):
    """The matrix in the header of a phone's video, here for a quarter turn."""
    file = tmp_path / "clip.mp4"
    write_video(file, moving_frames(3))
    content = bytearray(file.read_bytes())
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    plain, turned = decoded(file.read_bytes(), 1)[0], decoded(bytes(content), 1)[0]
    assert turned.shape == (64, 48, 3)
    np.testing.assert_array_equal(turned, np.rot90(plain, -1))


def playlist(file: Path) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{file}\n#EXT-X-ENDLIST\n".encode()


@pytest.mark.parametrize(
    "content",
    [
        lambda _: b"",
        lambda _: b"<html>not found</html>",
        lambda file: file.read_bytes()[:200],
        playlist,
        lambda file: f"ffconcat version 1.0\nfile '{file}'\n".encode(),
    ],
    ids=["empty", "html", "cut", "playlist", "list of files"],
)
def test_what_is_not_a_video_is_refused_and_refers_to_nothing(tmp_path, content, capfd):
    file = tmp_path / "clip.avi"
    write_video(file, moving_frames(5))
    with pytest.raises(DataError, match=r"^(not a video in a known format \(AVI|no frame could be decoded: the video)"):
        decoded(content(file))
    assert capfd.readouterr() == ("", "")


def test_a_video_that_is_cut_off_has_the_frames_that_are_left(tmp_path):
    file = tmp_path / "clip.avi"
    write_video(file, moving_frames(40, high=240, wide=320))
    (tmp_path / "cut.avi").write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    left = read_with_opencv(tmp_path / "cut.avi")
    assert 1 < len(left) < 40
    expected = [left[index] for index in sample_indices(len(left), 4, "edge")]
    np.testing.assert_array_equal(decoded((tmp_path / "cut.avi").read_bytes(), 4), expected)


def test_limits(tmp_path, monkeypatch):
    file = tmp_path / "clip.avi"
    write_video(file, moving_frames(6))
    with monkeypatch.context() as patch:
        patch.setattr(videos, "MAX_FRAMES", 5)
        with pytest.raises(DataError, match=r"^more than 5 frames, the longest video"):
            decoded(file.read_bytes())
        patch.setattr(videos, "MAX_FRAMES", 6)
        assert len(decoded(file.read_bytes(), 2)) == 2
    monkeypatch.setattr(videos, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(DataError, match=r"^frames of 64 x 48 pixels, more than the 3,071"):
        decoded(file.read_bytes())


def test_trouble_of_the_machine_is_not_the_videos_fault(tmp_path, monkeypatch):
    file = tmp_path / "clip.avi"
    write_video(file, moving_frames(3))

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(videos.Image, "frombuffer", no_memory)
    with pytest.raises(FileAccessError, match=r"^MemoryError"):
        decoded(file.read_bytes())


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("every", [0.01, 0.04, 0.1, 0.5, 100])
def test_frames_over_time_are_the_first_of_each_interval(tmp_path, suffix, every):
    """Against a plain loop over all frames, 25 a second."""
    file = tmp_path / f"clip{suffix}"
    write_video(file, moving_frames(40))
    frames = read_with_opencv(file)
    expected: dict[int, int] = {}
    for index in range(40):
        expected.setdefault(int(round(index / 25, 6) / every + 1e-9), index)
    found = list(frames_every(io.BytesIO(file.read_bytes()), every))
    assert [time for time, _ in found] == pytest.approx([index / 25 for index in expected.values()], abs=0.002)
    np.testing.assert_array_equal(
        [np.asarray(image) for _, image in found], [frames[index] for index in expected.values()]
    )


def test_the_length_that_a_video_states_leaves_the_file_at_its_start(tmp_path):
    write_video(tmp_path / "clip.mp4", moving_frames(40))
    with (tmp_path / "clip.mp4").open("rb") as file:
        assert stated_seconds(file) == pytest.approx(1.6)
        assert file.tell() == 0
        assert len(list(frames_every(file, 0.5))) == 4


def test_frames_over_time_come_one_by_one(tmp_path):
    """So that a long video fits into memory."""
    write_video(tmp_path / "clip.avi", moving_frames(40))
    with (tmp_path / "clip.avi").open("rb") as file:
        frames = frames_every(file, 0.2)
        assert [round(next(frames)[0], 2) for _ in range(3)] == [0, 0.2, 0.4]
        frames.close()


def test_what_is_no_video_has_no_frames_over_time():
    for read in (lambda file: next(frames_every(file, 1)), stated_seconds):
        with pytest.raises(DataError, match="not a video in a known format"):
            read(io.BytesIO(b"hello"))
