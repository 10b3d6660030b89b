"""Captures a model of transformers for `importActivations`: a model too large for the server's engine, or of another kind.

    pip install torch transformers safetensors
    python3 examples/capture_transformers.py --model Qwen/Qwen2.5-7B --layer 20 \\
        --prompts countries.jsonl --out "$IMPORT_DIR/qwen"

Of the lines of a dataset (as `importDataset` takes them) those with a prompt are read, in their order; each has `prompt`,
`concept` and `entity`, and may have `answer` and `split`. What is captured is the residual stream after block `--layer`
(0 is the first; -1 the embeddings) at the last token of each prompt, where a concept is bound, in float32. `--prefix` is put
before every prompt, as a dataset's is. Then ask the server

    mutation { importActivations(input: { path: "qwen", layer: 20 }) { ... on ImportActivationsSuccess { model { id } } } }
"""
import argparse
import copy
import json
import sys
from functools import lru_cache
from os.path import commonprefix
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

KEPT = ("prompt", "concept", "entity", "answer", "split")
ROWS_PER_SHARD = 8192


def read_lines(path):
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf8").splitlines(), 1):
        line = json.loads(text) if text.strip() else {}
        if "prompt" not in line:
            continue
        missing = [key for key in ("concept", "entity") if not isinstance(line.get(key), str)]
        if missing:
            sys.exit(f"{path}, line {number}: {missing[0]} must be a string")
        lines.append({key: line[key] for key in KEPT if key in line})
    return lines or sys.exit(f"{path} has no line with a prompt")


@torch.no_grad()
def capture(model, tokenizer, texts, layer, batch_size):
    """[n, dModel]; prompts of one length are run together, so that nothing is padded, and what all begin with is run once."""
    tokens = [tokenizer(text)["input_ids"] for text in texts]
    shared = commonprefix([ids[:-1] for ids in tokens])
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    rows = torch.empty(len(tokens), model.config.hidden_size)
    while order:
        length = len(tokens[order[0]])
        batch = [i for i in order[:batch_size] if len(tokens[i]) == length]
        order = order[len(batch) :]
        ids = torch.tensor([tokens[i][len(shared) :] for i in batch], device=model.device)
        cache = cache_of(model, shared, len(batch))
        hidden = model(ids, past_key_values=cache, output_hidden_states=True, logits_to_keep=1).hidden_states
        if not -1 <= layer < len(hidden) - 2:
            # The last of them is taken after the final norm, so the last block has none of its own here.
            sys.exit(f"--layer must be -1 to {len(hidden) - 3}, got {layer}")
        rows[batch] = hidden[layer + 1][:, -1].float().cpu()
        print(f"\r{len(texts) - len(order)} of {len(texts)} prompts", end="", file=sys.stderr)
    print(file=sys.stderr)
    return rows


@lru_cache(maxsize=1)
def run_once(model, shared):
    ids = torch.tensor([shared], device=model.device)
    return model(ids, past_key_values=DynamicCache(), logits_to_keep=1).past_key_values


def cache_of(model, shared, rows):
    if not shared:
        return None
    cache = copy.deepcopy(run_once(model, tuple(shared)))
    cache.batch_repeat_interleave(rows)
    return cache


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a directory or a repository of the hub")
    parser.add_argument("--prompts", type=Path, required=True, help="JSONL")
    parser.add_argument("--layer", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a new directory")
    parser.add_argument("--prefix", default="", help="text before every prompt")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    lines = read_lines(options.prompts)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype="auto").to(options.device).eval()
    texts = [options.prefix + line["prompt"] for line in lines]
    rows = capture(model, tokenizer, texts, options.layer, options.batch_size)
    options.out.mkdir(parents=True)
    for shard, start in enumerate(range(0, len(rows), ROWS_PER_SHARD)):
        part = rows[start : start + ROWS_PER_SHARD].contiguous()
        save_file({"resid_post": part}, options.out / f"activations-{shard:05d}.safetensors")
    (options.out / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf8")
    print(f"{len(rows)} rows of width {rows.shape[1]} in {options.out}")


if __name__ == "__main__":
    main()
