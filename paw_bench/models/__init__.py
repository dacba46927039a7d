"""Models: the embedded ones that ship with the package, and how a name becomes weights."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from paw_bench.config.schema import ModelConfig
from paw_bench.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED = (
    "embedded",
    "embedded-small",
    "embedded-signposts",
    "embedded-textworld",
    "embedded-search-qa",
    "embedded-webshop",
)
"""Names of the shipped models; `paw-bench warm-start` makes them (`embedded-signposts`: `warm_start/signposts.py`)."""


def locate(name: str) -> str:
    """Folder of a shipped model, or `name` itself (a folder, or a Hugging Face id)."""
    if name not in EMBEDDED:
        return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    return str(resources.files("paw_bench.models") / name.replace("-", "_"))


def load(config: ModelConfig, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model (in evaluation order, on `device`) and tokenizer. Raises UserError when there is no such model."""
    import torch
    from transformers import AutoModelForCausalLM

    where = locate(config.name)
    try:
        tokenizer = _load_tokenizer(where)
        model = AutoModelForCausalLM.from_pretrained(where, dtype=getattr(torch, config.dtype))
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.name: {config.name!r} cannot be loaded: {str(error).splitlines()[0]}",
            f"give one of {', '.join(EMBEDDED)}, a folder that holds config.json and weights, or a model id that is in "
            "the Hugging Face cache (set HF_HUB_OFFLINE=0 to let it be downloaded)",
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.to(device)  # type: ignore[arg-type]
    return model, tokenizer


def _load_tokenizer(where: str) -> PreTrainedTokenizerBase:
    """The tokenizer as it was saved: AutoTokenizer reads our word tokenizer as the byte-level one of Qwen2 models."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    own = get_tokenizer_config(where).get("tokenizer_class") == "TokenizersBackend"
    return (PreTrainedTokenizerFast if own else AutoTokenizer).from_pretrained(where, padding_side="left")
