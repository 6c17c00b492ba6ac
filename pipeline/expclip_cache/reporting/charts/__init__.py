"""Charts as SVG text: pure functions, no plotting library, the same bytes for the same numbers.

Colours come from the page's CSS (classes `clip`, `expclip`, `more`, `less`, `grid`), so a chart follows the light, dark
and print styles. Every chart is an image with a text description; the page has the numbers in tables too.
"""
