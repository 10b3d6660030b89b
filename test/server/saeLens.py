"""Loads each given directory with SAELens and prints how far its numbers are from those expected there."""

import json
import sys
import warnings
from pathlib import Path

import torch
from sae_lens import SAE

warnings.simplefilter("ignore")
results = []
for directory in map(Path, sys.argv[1:]):
    expected = json.loads((directory / "expected.json").read_text())
    sae = SAE.load_from_disk(directory)
    h = torch.tensor(expected["h"])
    with torch.no_grad():
        latents = sae.encode(h)
        decoded = sae.decode(latents)
    # A linear latent is its positive half less its negative half.
    n = len(expected["latents"][0])
    joined = latents[:, :n].clone()
    negatives = latents.shape[1] - n
    if negatives:
        joined[:, n - negatives :] -= latents[:, n:]
    results.append(
        {
            "architecture": sae.cfg.architecture(),
            "hook": sae.cfg.metadata.hook_name,
            "slots": [slot["concept"] for slot in sae.cfg.metadata.alignsae["slots"]],
            "latents": (joined - torch.tensor(expected["latents"])).abs().max().item(),
            "decoded": (decoded - torch.tensor(expected["decoded"])).abs().max().item(),
        }
    )
print(json.dumps(results))
