"""Files that a card names: where they are, and proof that they are the ones meant.

Covers: paths relative to the card's folder and files inside installed packages, SHA-256 checks.
Does not cover: downloads. No network is touched.
"""

import hashlib
import importlib
import importlib.resources
import mmap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from onnx_models.errors import EncoderError

PACKAGE_SCHEME = "package:"


@dataclass(frozen=True, slots=True)
class CardFile:
    """One file of an encoder.

    Attributes:
        location: a path relative to `folder` (or absolute), or `package:module/path` for a file
            inside an installed Python package.
        sha256: the file's SHA-256, 64 lower-case hexadecimal digits.
        folder: the folder that the card was read from.
    """

    location: str
    sha256: str
    folder: Path

    def path(self) -> Path:
        """Return where the file is, unverified. Raises EncoderError when it does not exist."""
        packaged = self.location.startswith(PACKAGE_SCHEME)
        path = _package_path(self.location) if packaged else (self.folder / self.location).resolve()
        if not path.is_file():
            raise EncoderError(
                f"{self.location!r} is not a file (looked at {path}): put the file there or correct the card"
            )
        return path

    def verified_path(self) -> Path:
        """Return the path after comparing the SHA-256. Raises EncoderError when it differs.

        A file is read once per process and modification time.
        """
        path = self.path()
        status = path.stat()
        actual = _sha256(path, status.st_size, status.st_mtime_ns)
        if actual != self.sha256:
            raise EncoderError(
                f"{path} has sha256 {actual}, the card says {self.sha256}: "
                "install the version that the card was written for, or write a new card"
            )
        return path


def may_keep_weights_outside(path: Path) -> bool:
    """Return whether an ONNX file can have weights in other files: it holds the key that they are found by. Milliseconds."""
    if not path.stat().st_size:  # nothing to map
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"location") >= 0


def _package_path(location: str) -> Path:
    module, _, inner = location.removeprefix(PACKAGE_SCHEME).partition("/")
    try:
        root = importlib.resources.files(module)
    except (ModuleNotFoundError, TypeError, ValueError) as error:
        distribution = module.replace("_", "-")
        raise EncoderError(
            f"{location!r} needs the Python package {module!r}, which is not installed: pip install {distribution}"
        ) from error
    return Path(str(root.joinpath(inner)))


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Hash a file; size and mtime_ns only key the cache."""
    del size, mtime_ns
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
