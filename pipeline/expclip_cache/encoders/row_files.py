"""The files of a row of a manifest, read and compared with what the manifest says."""

from expclip_cache.base import AddressAccessError, DataError, FileAccessError
from expclip_cache.datasets import ManifestRow, Root, RowContent
from expclip_cache.encoders.images import read_listed_file


def read_row_files(dataset: str, root: Root, row_id: int, row: ManifestRow) -> tuple[dict[str, bytes], str]:
    """The bytes of each distinct file of a row, or the reason why one cannot be read.

    Args:
        dataset: its name, for errors.
        root: folder or address of the images.
        row_id: of the row.

    Raises:
        FileAccessError: a file that could be read when the manifest was made cannot be read now, or a store cannot be
            reached.
        DataError: the files are not those of the manifest.
    """
    files: dict[str, bytes] = {}
    content = RowContent()
    for name in dict.fromkeys(row.files):
        try:
            files[name] = read_listed_file(root, name)
        except AddressAccessError:
            raise
        except DataError as error:
            if isinstance(error, FileAccessError) and row.digest is not None:
                raise unreadable(dataset, root, row_id, row, name, error) from None
            return {}, reason_of(row, name, error)
        content.add(files[name])
    if content.digest != row.digest:
        raise _changed(dataset, root, row_id, row, content)
    return files, ""


def reason_of(row: ManifestRow, name: str, error: DataError) -> str:
    """Why a file of a row cannot be used; of a clip it says which frame."""
    return f"{name}: {error}" if len(row.files) > 1 else str(error)


def unreadable(dataset: str, root: Root, row_id: int, row: ManifestRow, name: str, error: DataError) -> FileAccessError:
    """Trouble of the machine says nothing about the image, so it must not be recorded as its fault."""
    return FileAccessError(
        f"{dataset}: {row.path!r} (row {row_id}) could be read when its manifest was made, but not now: "
        f"{root / name}: {error}. Make it readable, then run the same command again; finished work is kept."
    )


def _changed(dataset: str, root: Root, row_id: int, row: ManifestRow, found: RowContent) -> DataError:
    listed = "could not be read" if row.digest is None else f"had {row.bytes} bytes with the hash {row.digest}"
    where = root / row.files[0] if len(set(row.files)) == 1 else f"its {len(set(row.files))} files in {root}"
    return DataError(
        f"{dataset}: {row.path!r} (row {row_id}) is not what its manifest lists: there it {listed}, now "
        f"{where}: {found.bytes} bytes with the hash {found.digest}. Put the files of the manifest back, or make the "
        "manifest again; finished work is kept."
    )
