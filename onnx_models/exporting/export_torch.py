"""Exports with PyTorch what export.py cannot build. Only this module and finetune_torch.py import torch.

Covers: any encoder that transformers' AutoModel loads from a local folder without remote code, and pickled weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from onnx_models.building.architectures import Array
from onnx_models.building.folders import ModelFolder
from onnx_models.building.graph import ACTIVATIONS, OPSET, VECTOR
from onnx_models.building.onnx_checks import check_model
from onnx_models.errors import EncoderError

_FUNCTIONS = {
    "Identity": torch.nn.Identity, "Tanh": torch.nn.Tanh, "ReLU": torch.nn.ReLU, "GELU": torch.nn.GELU, "Sigmoid": torch.nn.Sigmoid,
}  # fmt: skip
assert set(_FUNCTIONS) == set(ACTIVATIONS)


def read_pickle(path: Path) -> Mapping[str, Array]:
    """Return the arrays of a pytorch_model.bin as float32; code in the pickle is not run (weights_only)."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value.float().numpy() for name, value in state.items() if value.is_floating_point()}


class _Pooled(torch.nn.Module):  # type: ignore[misc]
    """A model with pooling, dense layers and L2 behind it."""

    def __init__(self, model: torch.nn.Module, found: ModelFolder) -> None:
        super().__init__()
        self.model, self.pooling = model, found.pooling
        layers: list[torch.nn.Module] = []
        for dense in found.dense:
            layer = torch.nn.Linear(*dense.weight.shape, bias=dense.bias is not None)
            layer.weight.data = torch.from_numpy(dense.weight.T.copy())
            if dense.bias is not None:
                layer.bias.data = torch.from_numpy(dense.bias.copy())
            layers += [layer, _FUNCTIONS[dense.activation]()]
        self.dense = torch.nn.Sequential(*layers)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.model(input_ids=input_ids, attention_mask=attention_mask)[0]
        if self.pooling == "cls":
            vector = states[:, 0]
        elif self.pooling == "last":
            last = (attention_mask.sum(1) - 1).clamp(min=0)
            vector = states.gather(1, last[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]
        else:
            mask = attention_mask[:, :, None].to(states.dtype)
            vector = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(self.dense(vector), dim=1)


def load_pooled(found: ModelFolder) -> torch.nn.Module:
    """Return the folder's model with its pooling behind it: ids and mask (n, t) to unit vectors (n, d).

    Raises:
        EncoderError: transformers cannot load the folder.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True, "attn_implementation": "eager"}
    try:
        model = transformers.AutoModel.from_pretrained(str(found.path), dtype=torch.float32, **options)
        return _Pooled(model.eval(), found).eval()
    except Exception as error:  # transformers raises anything
        raise EncoderError(
            f"{found.path} cannot be loaded with PyTorch ({type(error).__name__}: {str(error)[:200]})"
        ) from error


def export_model(found: ModelFolder, target: Path) -> int:
    """Write the model as ONNX and return the length of its vectors.

    Raises:
        EncoderError: transformers cannot load the folder, or torch cannot export it.
    """
    wrapped = load_pooled(found)
    try:
        ids = torch.ones(2, 8, dtype=torch.int64)
        dim = int(wrapped(ids, torch.ones_like(ids)).shape[1])
        axes = {0: "batch", 1: "tokens"}
        torch.onnx.export(
            wrapped, (ids, torch.ones_like(ids)), str(target), dynamo=False, opset_version=OPSET,
            input_names=["input_ids", "attention_mask"], output_names=[VECTOR],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, VECTOR: {0: "batch"}},
        )  # fmt: skip
    except Exception as error:  # torch raises anything
        raise EncoderError(
            f"{found.path} cannot be exported with PyTorch ({type(error).__name__}: {str(error)[:200]})"
        ) from error
    check_model(target)
    return dim
