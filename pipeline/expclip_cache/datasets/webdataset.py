"""Layout webdataset: tar shards, whose files with the same name before the first dot are one sample.

The members of a tar that are neither an image nor a label are passed over, and so are other files beside the tars, such
as the tables that img2dataset writes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.contained import TAR, open_containers
from expclip_cache.datasets.container_files import container_files, split_notes
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.listing import Listing, examples
from expclip_cache.datasets.sample_settings import Samples
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tar_index import TarIndex
from expclip_cache.datasets.tar_labels import LABELS, LabelPlace
from expclip_cache.datasets.tar_samples import samples_of
from expclip_cache.datasets.worded_rows import WordedRows


def read_webdataset(root: Root, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per sample that has an image.

    Raises:
        DataError: there is no tar or no image, a tar cannot be read or has two files of one name, a sample has several
            images or none of the samples has a label, or a class is unknown.
    """
    settings = dataset.samples or Samples()
    places = container_files(root, settings.files, TAR)
    found = _Tars(root, places, settings, dataset.labelled)
    rows = WordedRows(found.images())
    if not rows and not found.without_class:
        others = f", but {found.without_image} samples without one, such as {found.example}" * bool(found.without_image)
        raise DataError(
            f"{root}: expected images in its tar shards, found none{others}. Names are divided at their first dot. "
            f"Check samples.image and samples.files.{found.noted()}"
        )
    if not rows:
        where = f"a file {settings.label or ' or '.join(LABELS)}, found none in {_some(sorted(found.extensions))}"
        if found.label and found.other_fields:
            where = (
                f"the field {found.label.field!r} of a file {found.label.extension}, found the fields "
                f"{_some(found.other_fields)}"
            )
        raise DataError(
            f"{root}: expected a class for each sample, in {where}. Say where it is (samples.label), or set labelled: "
            f"false.{found.noted()}"
        )
    own = definition.with_native(settings.native)
    listed, classes, label_notes = rows.labelled(own, dataset.labelled, str(root), "samples")
    notes = [*split_notes(places), *found.notes]
    if found.without_image:
        notes.append(f"{found.without_image} samples have no image and are ignored, such as {found.example}")
    notes += label_notes
    if found.without_class:
        where = f" in a file {found.label.extension}" if found.label and not settings.label else ""
        notes.append(f"{found.without_class} samples have no class{where} and are ignored")
    return Listing(listed, classes, tuple(notes))


@dataclass
class _Tars:
    """What is found in tar shards, one after the other.

    Attributes:
        example: a sample without an image, as text.
        extensions: that files of samples have.
        label: where the classes of all tars are looked for: what the first tar with one has.
        other_fields: see `Words`.
        notes: on damaged tars.
    """

    root: Root
    places: Sequence[str]
    settings: Samples
    labelled: bool
    without_image: int = 0
    without_class: int = 0
    example: str = ""
    extensions: set[str] = field(default_factory=set)
    label: LabelPlace | None = None
    other_fields: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def images(self) -> Iterator[tuple[str, str]]:
        """Path and word of each sample that has an image and, if the samples are labelled, a class."""
        for place, index in zip(self.places, open_containers(self.root, self.places), strict=True):
            assert isinstance(index, TarIndex)
            self.notes += _notes_on(index, place)
            found = samples_of(index, self.settings, self.labelled, self.label)
            self.label, self.other_fields = found.label, found.other_fields or self.other_fields
            self.without_image, self.example = self.without_image + found.without_image, self.example or found.example
            self.extensions |= found.extensions
            for image, word in found.samples:
                if self.labelled and word is None:
                    self.without_class += 1
                else:
                    yield f"{place}/{image}", word or ""

    def noted(self) -> str:
        """The notes as the end of an error."""
        return f" Of the tars: {_some(self.notes, 3, '; ')}." if self.notes else ""


def _notes_on(index: TarIndex, place: str) -> list[str]:
    notes = [f"{place} {index.damage}"] if index.damage else []
    if index.not_read:
        notes.append(f"{place} has links that lead to none of its files, or sparse files: {examples(index.not_read)}")
    return notes


def _some(texts: Sequence[str], limit: int = 10, between: str = ", ") -> str:
    """Some of many texts; for names in quotes see `examples`."""
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return between.join(texts[:limit]) + more
