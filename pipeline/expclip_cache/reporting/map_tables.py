"""The numbers and places of maps of features, as csv and for the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.text import Text

from expclip_cache.base import csv_text
from expclip_cache.maps import FeatureMap
from expclip_cache.reporting.page.map_panels import panel_name
from expclip_cache.reporting.text_table import Column, first_of_each, tables_within_width

PLACES = ("head", "kind", "row", "path", "truth", "predicted", "x", "y")
NUMBERS = (
    *("test_set", "head", "prompt_type", "items", "drawn", "uar", "uar_centred"),
    *("neighbours", "own_class", "own_class_chance", "kept"),
)


def map_places_csv(shown: FeatureMap) -> str:
    """A line for each mark: the items of plain CLIP, its class prompts, then those of each head."""
    return csv_text(PLACES, _places(shown))


def _places(shown: FeatureMap) -> Iterator[tuple[object, ...]]:
    for panel in shown.panels:
        for row, path, truth, predicted, (x, y) in zip(
            shown.rows, shown.paths, shown.truth, panel.predicted, panel.items.tolist(), strict=True
        ):
            yield panel.head, "item", row, path, shown.classes[truth], shown.classes[predicted], x, y
        for name, (x, y) in zip(shown.classes, panel.prompts.tolist(), strict=True):
            yield panel.head, "prompt", None, None, name, None, x, y


def map_numbers_csv(maps: Sequence[FeatureMap]) -> str:
    """A line for each panel; shares and UAR in percent."""
    return csv_text(
        NUMBERS,
        (
            (
                *(shown.name, panel.head, shown.prompt_type, shown.scored, len(shown.rows)),
                *(panel.uar, panel.centred_uar),
                *(shown.neighbours, panel.own_class, shown.chance, panel.kept),
            )
            for shown in maps
            for panel in shown.panels
        ),
    )


def maps_to_terminal(maps: Sequence[FeatureMap]) -> Group:
    """The same numbers, for people."""
    lines = [(shown, panel) for shown in maps for panel in shown.panels]
    names = [shown.name for shown, _ in lines]
    fixed = [
        Column("test set", first_of_each(names, names), "left"),
        Column("head", [panel_name(panel) for _, panel in lines], "left"),
    ]
    numbers = {
        "UAR": [panel.uar for _, panel in lines],
        "UAR\ncentred": [panel.centred_uar for _, panel in lines],
        "own\nclass": [panel.own_class for _, panel in lines],
        "chance": [shown.chance for shown, _ in lines],
        "on the\nmap": [panel.kept for _, panel in lines],
    }
    others = [Column(header, [_words(value) for value in values]) for header, values in numbers.items()]
    ends = [number for number in range(1, len(lines)) if names[number] != names[number - 1]]
    note = (
        "\nUAR centred: with the mean of the images subtracted from the images and that of\n"
        "the class prompts from the prompts, as the map is drawn. own class: of an item's\n"
        "nearest neighbours, the share with its class, a mean over the classes. on the\n"
        "map: how many of these are among its nearest on the map too."
    )
    return Group(*tables_within_width("In percent", fixed, others, ends), Text(note))


def _words(value: float) -> str:
    return f"{value:.1f}" if value == value else "–"
