"""The heads that the authors of Exp-CLIP publish: downloaded by name, checked, converted."""

import hashlib
import http.client
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import EncoderError, make_folder, sole_process
from expclip_cache.encoders import ClipSettings
from expclip_cache.heads.imported import import_checkpoint

REPOSITORY = "https://github.com/zengqunzhao/Exp-CLIP"
COMMIT = "23ace53ca7cebaaa3964ccbf526ea746c89aadba"
ADDRESS = f"{REPOSITORY}/raw/{COMMIT}/checkpoint/{{file}}"

MAX_BYTES = 64 * 1024**2
"""Several times the largest of them."""

SECONDS = 60
"""Without a byte for this long, a download has failed."""


@dataclass(frozen=True)
class PublishedHead:
    """One of the authors' checkpoints.

    Attributes:
        file: its name in the folder checkpoint/ of their repository.
        git_hash: of the file, as the commit has it: SHA-1 over its length and content.
        model: open_clip's name of the CLIP that it belongs to, with OpenAI's weights.
    """

    file: str
    git_hash: str
    model: str

    @property
    def clip(self) -> ClipSettings:
        """The CLIP that it belongs to."""
        return ClipSettings(model=self.model, weights="openai")


PUBLISHED_HEADS = {
    "exp-clip-b32": PublishedHead(
        "ExpCLIP_B32_model.pth", "c7d28eb6c9665e709d9d6a422864a9d5713432f3", "ViT-B-32-quickgelu"
    ),
    "exp-clip-b16": PublishedHead(
        "ExpCLIP_B16_model.pth", "6f2b877fec83699e17283a511002376d117ce45f", "ViT-B-16-quickgelu"
    ),
    "exp-clip-l14": PublishedHead(
        "ExpCLIP_L14_model.pth", "febcf3447362f5b3654de12f89b2185414d62ec8", "ViT-L-14-quickgelu"
    ),
}
"""By the name that stands for the file of a head."""


def fetch_published_head(name: str) -> Path:
    """The file of a published head, in the user's cache folder; downloaded and converted when it is first needed.

    Args:
        name: a key of `PUBLISHED_HEADS`.

    Raises:
        EncoderError: it cannot be downloaded, what arrives is another file, or its CLIP cannot be loaded.
        DataError: the checkpoint cannot be used.
    """
    import platformdirs

    head = PUBLISHED_HEADS[name]
    file = platformdirs.user_cache_path("expclip-cache") / "heads" / f"{name}-{COMMIT[:7]}.safetensors"
    make_folder(file.parent)
    with sole_process(file.with_suffix(".lock")):
        if not file.exists():
            with tempfile.TemporaryDirectory() as folder:
                checkpoint = Path(folder) / head.file
                checkpoint.write_bytes(_download(head))
                import_checkpoint(checkpoint, file, head.clip)
    return file


def _download(head: PublishedHead) -> bytes:
    """The bytes of a checkpoint, which are those of the commit."""
    address = ADDRESS.format(file=head.file)
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            content = answer.read(MAX_BYTES + 1)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise EncoderError(
            f"{address}: the head cannot be downloaded ({getattr(error, 'reason', None) or error}). Download it "
            f"elsewhere, then convert it: expclip-cache import-head {head.file} head.safetensors --model {head.model} "
            "--weights openai"
        ) from None
    found = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
    if found != head.git_hash:
        raise EncoderError(
            f"{address}: expected the file with the Git hash {head.git_hash}, found {len(content):,} bytes with "
            f"{found}. A proxy or a login page may have answered in its place; nothing was kept."
        )
    return content
