"""The styles of the demo test sets: grey and small, or occluded. Line drawings are made by `faces.py`."""

import cv2
import numpy as np

from expclip_cache.demo.drawing.random_stream import RandomStream


def grey_and_small(image: np.ndarray, rng: RandomStream) -> np.ndarray:
    """A grey image of low resolution with noise, as from an old surveillance camera, at its original size.

    Args:
        image: (h, w, 3) uint8.
        rng: source of the noise.

    Returns:
        (h, w, 3) uint8, three equal channels.
    """
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    few = cv2.resize(grey, (width * 5 // 8, height * 5 // 8), interpolation=cv2.INTER_AREA)
    noise = rng.bytes(few.size).reshape(few.shape).astype(np.int16) // 12 - 10
    few = np.clip(few.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    grey = cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.repeat(grey[..., None], 3, axis=2)


def occluded(image: np.ndarray, rng: RandomStream) -> np.ndarray:
    """The image with an object in front of the face: sunglasses, a mask, a hand or a bar.

    Args:
        image: (64, 64, 3) uint8.
        rng: source of randomness for the object, its position and its colour.

    Returns:
        (64, 64, 3) uint8.
    """
    hidden = image.copy()
    colour = [int(rng.uniform(20, 230)) for _ in range(3)]
    thing = rng.choose(("sunglasses", "mask", "hand", "bar"))
    shift_x, shift_y = int(rng.bell(2)), int(rng.bell(2))
    if thing == "sunglasses":
        for x in (20, 44):
            cv2.ellipse(hidden, (x + shift_x, 23 + shift_y), (10, 6), 0, 0, 360, (24, 22, 28), -1, cv2.LINE_AA)
        cv2.line(hidden, (28 + shift_x, 22 + shift_y), (36 + shift_x, 22 + shift_y), (24, 22, 28), 2, cv2.LINE_AA)
    elif thing == "mask":
        corners = np.array([(12, 44), (32, 39), (52, 44), (48, 58), (32, 64), (16, 58)], np.int32)
        corners += np.array([shift_x, shift_y], np.int32)
        cv2.fillPoly(hidden, [corners], colour, cv2.LINE_AA)
    elif thing == "hand":
        side = rng.choose((10, 54))
        skin = rng.choose(((232, 190, 160), (180, 130, 96), (110, 76, 56)))
        for finger in range(4):
            top = (side + shift_x, 16 + 8 * finger + shift_y)
            tip = (32 + (side - 32) // 3 + shift_x, 12 + 9 * finger + shift_y)
            cv2.line(hidden, top, tip, [part - 12 * (finger % 2) for part in skin], 7, cv2.LINE_AA)
    else:
        start, end = (0, int(rng.uniform(4, 60))), (63, int(rng.uniform(4, 60)))
        cv2.line(hidden, start, end, colour, 8, cv2.LINE_AA)
    return hidden
