"""Loads each given directory with transformers and prints what it computes for the prompts that are there."""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

results = []
for directory in map(Path, sys.argv[1:]):
    prompts = json.loads((directory / "prompts.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model, loading = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    model.eval()
    answers = []
    for prompt in prompts:
        batch = tokenizer(prompt, return_tensors="pt")
        with torch.no_grad():
            logits = model(**batch).logits[0, -1]
            made = model.generate(**batch, max_new_tokens=8)[0, batch["input_ids"].shape[1] :]
        text = tokenizer.decode(made, skip_special_tokens=True)
        tokens = batch["input_ids"][0].tolist()
        answers.append({"tokens": tokens, "logits": logits.tolist(), "text": text})
    problems = {name: sorted(map(str, found)) for name, found in loading.items() if found}
    results.append({"architecture": type(model).__name__, "problems": problems, "answers": answers})
print(json.dumps(results))
