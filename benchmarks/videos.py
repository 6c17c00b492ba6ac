"""What does decoding videos cost beside the decoder alone? python -m benchmarks.videos [--clips 24] [--frames 75].

A disc moves over noise in videos of AFEW's size, codec and length. The decoder alone grabs every frame of
every video from its file and takes those that are sampled; resizing alone brings these, as images in memory, to 224 x
224. Decoding a dataset also reads and hashes the files, finds out how many frames there are, and makes images of those
that are taken.
"""

import argparse
import io
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.measure import Figure, show, timed_in_turn
from expclip_cache.datasets import Manifest, build_manifest, sample_indices
from expclip_cache.encoders.preprocess import preprocess, to_square
from expclip_cache.encoders.videos import decode_video
from expclip_cache.extraction.decoding import Images, decode_batches, plan_batches

WIDTH, HEIGHT, RATE = 720, 576, 25
SAMPLED = 16
HOW = preprocess("reference", 224)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=75, help="of each clip")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        videos, frames = Path(folder) / "videos", Path(folder) / "frames"
        write_clips(videos, frames, given.clips, given.frames)
        files = sorted(videos.rglob("*.avi"))
        of_videos = build_manifest(videos, "frame-folders")
        of_frames = build_manifest(frames, "frame-folders")
        taken = [decode_video(io.BytesIO(file.read_bytes()), SAMPLED, "edge", threads=1) for file in files]
        bare, resizing, ours, folders = timed_in_turn(
            partial(decoder_alone, files, given.frames),
            partial(resizing_alone, taken),
            partial(decode_dataset, of_videos, videos),
            partial(decode_dataset, of_frames, frames),
        )
    total, sampled = given.clips * given.frames, given.clips * SAMPLED
    show(
        f"{given.clips} videos of {given.frames} frames, {WIDTH} x {HEIGHT}, one process",
        [
            Figure("the decoder alone", bare, note=f"{total / bare:,.0f} frames/s"),
            Figure("resizing alone", resizing, note=f"{sampled / resizing:,.0f} sampled frames/s"),
            Figure("a dataset of videos", ours, ours / (bare + resizing), "<= 1.6", f"{total / ours:,.0f} frames/s"),
            Figure("the sampled frames as JPEGs", folders, note=f"{sampled / folders:,.0f} sampled frames/s"),
        ],
    )


def write_clips(videos: Path, frames: Path, clips: int, count: int) -> None:
    """The same clips twice: as videos, and as folders with a JPEG for each frame."""
    random = np.random.default_rng(0)
    background = cv2.GaussianBlur(random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 3)
    for clip in range(clips):
        folder = frames / f"happy/{clip:03}"
        folder.mkdir(parents=True)
        (videos / "happy").mkdir(parents=True, exist_ok=True)
        fourcc = cv2.VideoWriter.fourcc(*"XVID")
        video = cv2.VideoWriter(str(videos / f"happy/{clip:03}.avi"), cv2.CAP_FFMPEG, fourcc, RATE, (WIDTH, HEIGHT))
        for number in range(count):
            image = np.roll(background, 2 * number, axis=1)
            cv2.circle(image, (200 + number, 288), 120, (120, 150, 220), -1)
            cv2.putText(image, str(number), (170 + number, 300), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 4)
            video.write(image)
            cv2.imwrite(str(folder / f"{number:03}.jpg"), image)
        video.release()


def decoder_alone(files: Sequence[Path], count: int) -> None:
    """Grab every frame, and convert the sampled ones."""
    wanted = set(sample_indices(count, SAMPLED, "edge"))
    for file in files:
        video = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        for number in range(count):
            assert video.grab()
            if number in wanted:
                video.retrieve()
        video.release()


def resizing_alone(clips: Sequence[Sequence[Image.Image]]) -> None:
    """What becomes of the sampled frames."""
    for clip in clips:
        for image in clip:
            to_square(image, HOW)


def decode_dataset(manifest: Manifest, root: Path) -> None:
    """What an extraction does before the encoder."""
    batches = ((0, rows) for rows in plan_batches([range(len(manifest.rows))], 4))
    with decode_batches([Images(manifest, root)], HOW, batches, workers=0, pin=False) as decoded:
        assert not any(error for batch in decoded for error in batch.errors)


if __name__ == "__main__":
    main()
