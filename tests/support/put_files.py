"""The images of tests/data/containers, as class folders and at addresses; put there without code of ours."""

import tarfile
from pathlib import Path

import fsspec

CONTAINERS = Path(__file__).parents[1] / "data" / "containers"


def class_folders(folder: Path) -> Path:
    """The 14 images of the tar shards in the folders of their classes."""
    for shard in sorted((CONTAINERS / "webdataset").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar.getnames():
                if member.endswith(".jpg"):
                    label = tar.extractfile(member.replace(".jpg", ".txt")).read().decode()
                    file = folder / label / member
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(tar.extractfile(member).read())
    return folder


def put_files(folder: Path, address: str) -> str:
    """Copy everything below a folder to an address."""
    filesystem, root = fsspec.url_to_fs(address)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            path = f"{root}/{file.relative_to(folder).as_posix()}"
            filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            filesystem.pipe_file(path, file.read_bytes())
    return address
