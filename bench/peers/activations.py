"""SAELens' `ActivationsStore` on a tiny GPT-2, and that model's making.

`activations.py make DIR` writes a checkpoint with a tokenizer trained on DIR/texts.jsonl;
`activations.py run DIR TOKENS BUFFER BATCH LAYER` draws so many activations and prints what it took as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path


def make(directory: Path) -> None:
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

    texts = [json.loads(line)["text"] for line in (directory / "texts.jsonl").open()]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=4096, special_tokens=["<|endoftext|>"])
    model = directory / "model"
    model.mkdir(exist_ok=True)
    bpe.save(str(model / "tokenizer.json"))
    GPT2TokenizerFast(
        tokenizer_file=str(model / "tokenizer.json"),
        **{name: "<|endoftext|>" for name in ("bos_token", "eos_token", "unk_token")},
    ).save_pretrained(model)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=4096, n_positions=256, n_embd=128, n_layer=4, n_head=4
    )
    GPT2LMHeadModel(config).save_pretrained(model)


def run(directory: Path, tokens: int, buffer: int, batch: int, layer: int) -> None:
    import torch
    from datasets import Dataset
    from sae_lens.load_model import load_model
    from sae_lens.training.activations_store import ActivationsStore

    warnings.filterwarnings("ignore")
    texts = [json.loads(line) for line in (directory / "texts.jsonl").open()]
    hook = f"transformer.h.{layer}"
    # The faster of the two classes: PyTorch's own modules, stopped behind the layer.
    model = load_model(
        "AutoModelForCausalLM", str(directory / "model"), "cpu", hook_names=[hook]
    )
    context = 128
    began = time.perf_counter()
    store = ActivationsStore(
        model=model,
        dataset=Dataset.from_list(texts),
        streaming=False,
        hook_name=hook,
        hook_head_index=None,
        context_size=context,
        d_in=128,
        n_batches_in_buffer=buffer // context,
        total_training_tokens=tokens,
        store_batch_size_prompts=64,
        train_batch_size_tokens=batch,
        prepend_bos=False,
        normalize_activations="none",
        device=torch.device("cpu"),
        dtype="float32",
    )
    drawn = 0
    while drawn < tokens:
        drawn += len(store.next_batch())
    seconds = time.perf_counter() - began
    versions = {name: version(name) for name in ("sae-lens", "transformers", "torch")}
    print(
        json.dumps(
            {"seconds": seconds, "tokens": drawn, "versions": versions}
        )
    )


if __name__ == "__main__":
    command, directory, *numbers = sys.argv[1:]
    if command == "make":
        make(Path(directory))
    else:
        run(Path(directory), *map(int, numbers))
