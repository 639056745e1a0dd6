"""Reads safetensors files with NumPy: a header in JSON, then raw little-endian arrays.

Covers: one file, or several with an index; bfloat16 and float16 as float32. Does not cover: pickles, which can run code.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_models.errors import EncoderError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

MOST_HEADER_BYTES = 100_000_000
_FLOATS: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


def read_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the floating point arrays of a model folder by name, as float32.

    Raises:
        EncoderError: no safetensors file is there, or one is damaged.
    """
    weights: dict[str, NDArray[np.float32]] = {}
    for path in weight_files(folder):
        weights.update(_arrays(path))
    return weights


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder. Raises EncoderError where there are none."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        raise EncoderError(f"{folder} holds no {SINGLE}: save the model with safetensors (save_pretrained does)")
    try:
        named = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise EncoderError(
            f"{folder / INDEX} is not an index of safetensors files ({error!r}): save it again"
        ) from error
    if any(Path(name).name != name for name in named):
        raise EncoderError(f"{folder / INDEX} names files outside its folder: copy them into it")
    return [folder / name for name in sorted(named)]


def _arrays(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
        size = int(data[:8].view("<u8")[0])
        if not 0 < size <= min(MOST_HEADER_BYTES, len(data) - 8):
            raise ValueError(f"the header claims {size} bytes of {len(data)}")
        header: dict[str, Any] = json.loads(bytes(data[8 : 8 + size]))
        header.pop("__metadata__", None)
        body = data[8 + size :]
        for name, entry in header.items():
            array = _array(body, entry)
            if array is not None:
                yield name, array
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise EncoderError(f"{path} is not a whole safetensors file ({error}): copy it again") from error


def _array(body: NDArray[np.uint8], entry: dict[str, Any]) -> NDArray[np.float32] | None:
    kind, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not 0 <= start <= stop <= len(body):
        raise ValueError(f"an array ends at byte {stop} of {len(body)}")
    raw = body[start:stop]
    if kind == "BF16":
        # bfloat16 is the upper half of a float32.
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if kind in _FLOATS:
        return np.ascontiguousarray(raw.view(_FLOATS[kind]).astype(np.float32).reshape(shape))
    return None
