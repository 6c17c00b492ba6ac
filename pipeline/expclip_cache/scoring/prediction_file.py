"""Every prediction behind the scores of one test set as a Parquet file, from which any other statistic can be made.

It has a line for each item and classifier. `row` is the item's row in the cache, `path` its path, `truth` its class.
`prompts`, `prompt_type`, `teacher`, `head` and `seed` are those of `Classifier`. `predicted` is the class it predicts,
and `similarity_<class>` how similar the image is to the prompts of a class, see `PromptIndex.similarities`; of an
LLM's own answers it is the score of the class in nats, see `class_scores`. The lines of one classifier are one row
group, in the order of the rows.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from expclip_cache.base import DataError, make_folder, printable_name, write_atomically
from expclip_cache.cache import FeatureCache
from expclip_cache.scoring.results import Classifier

_ABOUT = b"expclip_cache"
"""Key of the file's metadata that says what its row groups are."""

_NAME = pa.dictionary(pa.int32(), pa.string())


class Prediction(NamedTuple):
    """What one classifier makes of the n items of a test set.

    Attributes:
        predicted: (n,) int64 classes.
        similarities: (n, c) float32.
    """

    predicted: np.ndarray
    similarities: np.ndarray


def write_predictions(
    path: Path,
    images: FeatureCache,
    predictions: Mapping[Classifier, Prediction],
    *,
    scores: str,
    logit_scale: float | None = None,
) -> None:
    """Write the file atomically; the same predictions give the same bytes.

    Args:
        path: of the file.
        images: the scored cache; the n items are its good rows.
        predictions: of every classifier.
        scores: checksum of the file of scores that belongs to it.
        logit_scale: with which similarities become logits; by default that of the CLIP of the features.
    """
    scale = images.logit_scale if logit_scale is None else logit_scale
    rows, classes = images.good_rows, images.classes
    paths = pa.array([printable_name(name) for name in images.paths(rows)]).dictionary_encode()
    about = {"scores": scores, "classes": classes, "logit_scale": scale, "classifiers": list(predictions)}
    schema = pa.schema(
        {
            "row": pa.int64(),
            "path": _NAME,
            "truth": _NAME,
            "prompts": _NAME,
            "prompt_type": pa.int64(),
            "teacher": _NAME,
            "head": _NAME,
            "seed": pa.int64(),
            "predicted": _NAME,
            **{f"similarity_{name}": pa.float32() for name in classes},
        },
        metadata={_ABOUT: json.dumps(about)},
    )
    buffer = pa.BufferOutputStream()
    with pq.ParquetWriter(buffer, schema, compression="zstd", write_page_checksum=True) as writer:
        for classifier, found in predictions.items():
            same = (pa.repeat(pa.scalar(value, schema.field(name).type), len(rows)) for name, value in
                    classifier._asdict().items())  # fmt: skip
            item = [pa.array(rows), paths, _named(images.labels[rows], classes)]
            answer = [_named(found.predicted, classes), *map(pa.array, found.similarities.T)]
            table = pa.Table.from_arrays([*item, *same, *answer], schema=schema)
            writer.write_table(table, row_group_size=max(len(rows), 1))
    make_folder(path.parent)
    write_atomically(path, buffer.getvalue())


class PredictionFile:
    """A file that `write_predictions` wrote.

    Attributes:
        classes: c class names; truth and predictions index them.
        logit_scale: with which similarities become logits: exp of CLIP's parameter; 1 for log-likelihoods.
        classifiers: in the order of the study.
        scores: checksum of the file of scores that belongs to it.
    """

    def __init__(self, path: Path):
        """Open the file.

        Raises:
            DataError: it is missing or damaged.
        """
        self._path = path
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            about = json.loads((self._file.schema_arrow.metadata or {})[_ABOUT])
            self.classes: tuple[str, ...] = tuple(about["classes"])
            self.logit_scale: float = about["logit_scale"]
            self.classifiers = [Classifier(*values) for values in about["classifiers"]]
            self.scores: str = about["scores"]
        except OSError as error:
            raise DataError(f"{path}: the predictions cannot be read ({error}). Run `dvc repro scores`.") from None
        except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from None

    @cached_property
    def rows(self) -> np.ndarray:
        """(n,) int64 rows of the items in their cache, ascending."""
        return self._read(0, ["row"])["row"].to_numpy()

    @cached_property
    def paths(self) -> list[str]:
        """Paths of the n items, relative to the dataset's root; what cannot be printed is escaped."""
        return self._read(0, ["path"])["path"].to_pylist()

    @cached_property
    def truth(self) -> np.ndarray:
        """(n,) int64 true classes."""
        return self._labels(0, "truth")

    def predicted(self, classifier: Classifier) -> np.ndarray:
        """(n,) int64 classes that a classifier of the file predicts.

        Raises:
            DataError: the file is damaged.
        """
        return self._labels(self.classifiers.index(classifier), "predicted")

    def similarities(self, classifier: Classifier) -> np.ndarray:
        """(n, c) float32 similarities to the classes under a classifier of the file.

        Raises:
            DataError: the file is damaged.
        """
        names = [f"similarity_{name}" for name in self.classes]
        found = self._read(self.classifiers.index(classifier), names)
        return np.stack([found[name].to_numpy() for name in names], axis=1)

    def _labels(self, group: int, column: str) -> np.ndarray:
        numbers = {name: number for number, name in enumerate(self.classes)}
        names = self._read(group, [column])[column].to_pylist()
        try:
            return np.array([numbers[name] for name in names], dtype=np.int64)
        except KeyError as error:
            raise self._damaged(error) from None

    def _read(self, group: int, columns: list[str]) -> pa.Table:
        try:
            return self._file.read_row_group(group, columns)
        except (pa.ArrowException, OSError, ValueError, IndexError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"{self._path}: is not an intact file of predictions ({error!r}). Delete it and run `dvc repro scores`."
        )


def _named(labels: np.ndarray, classes: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(labels, pa.int32()), pa.array(classes, pa.string()))
