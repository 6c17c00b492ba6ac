"""Layout webdataset: tar shards, whose files with the same name before the first dot are one sample.

The members of a tar that are neither an image nor a label are passed over, and so are other files beside the tars, such
as the tables that img2dataset writes.
"""

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.contained import TAR, open_containers
from expclip_cache.datasets.container_files import container_files, split_notes
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.labels import labels_of
from expclip_cache.datasets.listing import ListedRow, Listing, examples, in_path_order
from expclip_cache.datasets.sample_settings import Samples
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tar_index import TarIndex
from expclip_cache.datasets.tar_samples import LABELS, samples_of


def read_webdataset(root: Root, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per sample that has an image.

    Raises:
        DataError: there is no tar or no image, a tar cannot be read or has two files of one name, a sample has several
            images or none of the samples has a label, or a class is unknown.
    """
    settings = dataset.samples or Samples()
    places = container_files(root, settings.files, TAR)
    paths, words = list[str](), list[str]()
    notes, extensions, example = split_notes(places), set[str](), ""
    without_image = without_class = 0
    for place, index in zip(places, open_containers(root, places), strict=True):
        assert isinstance(index, TarIndex)
        notes += _notes_on(index, place)
        found = samples_of(index, settings, dataset.labelled)
        without_image, example = without_image + found.without_image, example or found.example
        extensions |= found.extensions
        for image, word in found.samples:
            if dataset.labelled and word is None:
                without_class += 1
            else:
                paths.append(f"{place}/{image}")
                words.append(word or "")
    if not paths and not without_class:
        others = f", but {without_image} samples without one, such as {example}" if without_image else ""
        raise DataError(
            f"{root}: expected images in its tar shards, found none{others}. Names are divided at their first dot. "
            "Check samples.image and samples.files."
        )
    if not paths:
        raise DataError(
            f"{root}: expected a class for each sample, in a file {settings.label or ' or '.join(LABELS)}, found none "
            f"in {', '.join(sorted(extensions)[:10])}. Say where it is (samples.label), or set labelled: false."
        )
    own = definition.model_copy(update={"native": settings.native}) if settings.native else definition
    labels, classes, label_notes = labels_of(words, own, dataset.labelled, str(root), "samples")
    if without_image:
        notes.append(f"{without_image} samples have no image and are ignored, such as {example}")
    notes += label_notes
    if without_class:
        notes.append(f"{without_class} samples have no class and are ignored")
    rows = (ListedRow(path, label, (path,)) for path, label in zip(paths, labels, strict=True) if label is not None)
    return Listing(in_path_order(rows), classes, tuple(notes))


def _notes_on(index: TarIndex, place: str) -> list[str]:
    notes = [f"{place} {index.damage}"] if index.damage else []
    if index.not_read:
        notes.append(f"{place} has links that lead to none of its files, or sparse files: {examples(index.not_read)}")
    return notes
