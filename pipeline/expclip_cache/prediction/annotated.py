"""A photo with its faces marked and named."""

from PIL import Image, ImageDraw, ImageFont

from expclip_cache.prediction.result import Prediction

BACKGROUND, UNSURE, FOREGROUND = "#d55e00", "#555555", "white"
"""Of the names, those of unsure answers, and their letters; the colour of a box is that of its name's background."""


def annotated(image: Image.Image, prediction: Prediction) -> Image.Image:
    """A copy of an image with a box around each face, and its top class; without boxes, the class at the top left.

    Args:
        image: RGB, full size.
        prediction: of it.
    """
    image = image.copy()
    draw = ImageDraw.Draw(image)
    size = max(12, min(image.size) // 28)
    font, line = ImageFont.load_default(size), max(2, size // 7)
    for answer in prediction.answers:
        name, percent = answer.ranked[0]
        left, top = 0, 0
        colour = UNSURE if answer.unsure else BACKGROUND
        if face := answer.face:
            draw.rectangle(face.box, outline=colour, width=line)
            # Above the box if there is room, or else inside it.
            left, top = face.left, face.top - size - 3 * line if face.top >= size + 3 * line else face.top
        text = f"{name}{'?' * answer.unsure} {percent:.0f} %"
        width = draw.textlength(text, font) + 4 * line
        draw.rectangle((left, top, left + width, top + size + 3 * line), fill=colour)
        draw.text((left + 2 * line, top + line), text, FOREGROUND, font)
    return image
