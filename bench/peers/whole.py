"""A whole alignment as a researcher's script has it: PyTorch and transformers, from a dataset to swaps.

    whole.py DIRECTORY

DIRECTORY holds `job.json` (settings, prompts by part) and the model as transformers loads it. Captures, trains both
stages of the curriculum, keeps the best weights by validation, measures binding on unseen entities, and swaps concepts of
their prompts, in batches, greedily. Prints one line of JSON: seconds by part, and what was reached.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignsae import SaeShape, Tensors, decode, encode, orthogonality, value_logits

# Of prompts: learned from, chosen by, and of unseen entities in known and held-out phrasings.
PARTS = ("train", "validation", "known", "heldOut")
CAPTURE_ROWS = 256
SWAP_ROWS = 512


class Job:
    def __init__(self, directory: Path) -> None:
        job = json.loads((directory / "job.json").read_text())
        self.settings, self.prompts = job["settings"], job["prompts"]
        self.n_concepts, self.swaps_per_pair = job["nConcepts"], job["swapsPerPair"]
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.model = AutoModelForCausalLM.from_pretrained(directory).eval()
        for prompt in self.prompts:
            prompt["ids"] = self.tokenizer(prompt["prompt"])["input_ids"]
            prompt["answer_ids"] = self.tokenizer(prompt["answer"])["input_ids"]
        self.block = self.model.transformer.h[self.settings["layer"]]


def batches(prompts: list, rows: int):
    """Of prompts of one length, so that nothing is padded."""
    ordered = sorted(prompts, key=lambda prompt: len(prompt["ids"]))
    while ordered:
        same = [p for p in ordered[:rows] if len(p["ids"]) == len(ordered[0]["ids"])]
        ordered = ordered[len(same) :]
        yield same, torch.tensor([p["ids"] for p in same])


class Captured(Exception):
    """Ends a forward pass behind the block that is read."""


@torch.no_grad()
def capture(job: Job) -> None:
    def keep(_module, _inputs, output):
        raise Captured(output[0] if isinstance(output, tuple) else output)

    handle = job.block.register_forward_hook(keep)
    for same, ids in batches(job.prompts, CAPTURE_ROWS):
        try:
            job.model(ids, use_cache=False)
        except Captured as captured:
            for prompt, h in zip(same, captured.args[0][:, -1]):
                prompt["h"] = h
    handle.remove()


class Rows:
    def __init__(self, prompts: list, n_concepts: int, mean: Tensor, scale: Tensor) -> None:
        self.x = (torch.stack([p["h"] for p in prompts]) - mean) / scale
        self.concepts = torch.tensor([p["concept"] for p in prompts])
        self.answers = torch.tensor([p["answer_ids"][0] for p in prompts])
        self.groups = [(self.concepts == c).nonzero()[:, 0] for c in range(n_concepts)]

    def draw(self, rows: int) -> Tensor:
        """Equally many of each concept, concept 0's first."""
        each = max(1, round(rows / len(self.groups)))
        return torch.cat([g[torch.randint(len(g), (each,))] for g in self.groups])


class Trainer:
    def __init__(self, job: Job, train: Rows, validation: Rows) -> None:
        s = job.settings
        self.settings, self.train, self.validation = s, train, validation
        self.shape = SaeShape(s["nFree"], job.n_concepts, s["activation"], s["k"])
        d, n, hidden = train.x.shape[1], s["nFree"] + job.n_concepts, s["valueHidden"]
        encoder = torch.randn(d, n) / math.sqrt(d)
        vocab = job.model.config.vocab_size
        self.weights: Tensors = {
            "encoder.weight": encoder,
            "encoder.bias": torch.zeros(n),
            "decoder.weight": s["decoderScale"] * encoder.T.contiguous(),
            "decoder.bias": torch.zeros(d),
            "value.hidden.weight": torch.randn(job.n_concepts, hidden),
            "value.hidden.bias": torch.zeros(job.n_concepts, hidden),
            "value.out.weight": torch.randn(job.n_concepts, hidden, vocab) / math.sqrt(hidden),
            "value.out.bias": torch.zeros(job.n_concepts, vocab),
        }
        for weight in self.weights.values():
            weight.requires_grad_()

    def pretrain_loss(self, x: Tensor) -> Tensor:
        free, slots = encode(self.shape, self.weights, x)
        sparse = torch.cat([free, slots], dim=1).abs().mean()
        return F.mse_loss(decode(self.weights, free, slots), x) + self.settings["weights"]["sparse"] * sparse

    def posttrain_loss(self, rows: Rows, chosen: Tensor) -> Tensor:
        w, x, concepts = self.settings["weights"], rows.x[chosen], rows.concepts[chosen]
        free, slots = encode(self.shape, self.weights, x)
        values = value_logits(self.shape, self.weights, slots)
        return (
            w["recon"] * F.mse_loss(decode(self.weights, free, slots), x)
            + w["sparse"] * free.abs().mean()
            + w["bindMse"] * F.mse_loss(slots, F.one_hot(concepts, slots.shape[1]).float())
            + w["bindCrossEntropy"] * F.cross_entropy(w["bindLogitScale"] * slots, concepts)
            + w["ortho"] * orthogonality(slots.detach(), free)
            + w["value"] * F.cross_entropy(values, rows.answers[chosen])
        )

    def stage(self, name: str, loss_of) -> None:
        s = self.settings[name]
        optimizer = torch.optim.Adam(self.weights.values(), lr=s["learningRate"], fused=True)
        best = (-1.0, 0.0)
        kept: Tensors = {}
        for step in range(1, s["steps"] + 1):
            if name == "posttrain":
                optimizer.param_groups[0]["lr"] = s["learningRate"] * 0.5 * (1 + math.cos(math.pi * (step - 1) / s["steps"]))
            optimizer.zero_grad()
            loss_of(s["batchSize"]).backward()
            optimizer.step()
            if name == "posttrain" and (step % self.settings["validateEvery"] == 0 or step == s["steps"]):
                found = self.look()
                if found > best:
                    best, kept = found, {k: v.detach().clone() for k, v in self.weights.items()}
        self.weights = kept or self.weights

    @torch.no_grad()
    def look(self) -> tuple[float, float]:
        rows = self.validation
        chosen = rows.draw(2048)
        return binding(self, rows), -self.posttrain_loss(rows, chosen).item()

    def run(self) -> None:
        train = self.train
        self.stage("pretrain", lambda rows: self.pretrain_loss(train.x[torch.randint(len(train.x), (rows,))]))
        self.stage("posttrain", lambda rows: self.posttrain_loss(train, train.draw(rows)))


@torch.no_grad()
def binding(trainer: Trainer, rows: Rows) -> float:
    slots = encode(trainer.shape, trainer.weights, rows.x)[1]
    return (slots.argmax(dim=1) == rows.concepts).float().mean().item()


@torch.no_grad()
def swap(job: Job, trainer: Trainer, prompts: list, mean: Tensor, scale: Tensor) -> tuple[int, int]:
    """Trials and successes: the answer about the target of the same entity, whole."""
    answers = {(p["entity"], p["concept"]): p["answer_ids"] for p in prompts}
    trials = []
    for source in range(job.n_concepts):
        own = [p for p in prompts if p["concept"] == source]
        for target in range(job.n_concepts):
            if target != source:
                picked = torch.randint(len(own), (job.swaps_per_pair,)).tolist()
                trials += [{**own[i], "target": target} for i in picked]
    edited: list = []

    def edit(_module, _inputs, output):
        h = output[0] if isinstance(output, tuple) else output
        if h.shape[1] > 1:
            h[:, -1] = edited[0]
        return output

    handle = job.block.register_forward_hook(edit)
    end = job.tokenizer.eos_token_id
    successes = 0
    for same, ids in batches(trials, SWAP_ROWS):
        x = (torch.stack([p["h"] for p in same]) - mean) / scale
        free, slots = encode(trainer.shape, trainer.weights, x)
        rows = torch.arange(len(same))
        slots[rows, [p["concept"] for p in same]] = 0
        slots[rows, [p["target"] for p in same]] = job.settings["alpha"]
        edited[:] = [decode(trainer.weights, free, slots) * scale + mean]
        expected = [answers[p["entity"], p["target"]] for p in same]
        longest = max(map(len, expected)) + 1
        made = job.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=longest, do_sample=False, pad_token_id=end)
        for tokens, answer in zip(made[:, ids.shape[1] :].tolist(), expected):
            said = tokens[: tokens.index(end)] if end in tokens else tokens
            successes += said[: len(answer)] == answer and len(said) <= len(answer)
    handle.remove()
    return len(trials), successes


def main() -> None:
    start = time.perf_counter()
    torch.manual_seed(0)
    seconds: dict[str, float] = {}

    def note(part: str) -> None:
        nonlocal start
        now = time.perf_counter()
        seconds[part], start = now - start, now

    job = Job(Path(sys.argv[1]))
    note("load")
    capture(job)
    note("capture")

    def of(part: str) -> list:
        return [p for p in job.prompts if p["part"] == part]

    seen = torch.stack([p["h"] for p in of("train")])
    mean = seen.mean(dim=0)
    scale = (seen - mean).square().mean().sqrt()
    rows = {part: Rows(of(part), job.n_concepts, mean, scale) for part in PARTS}
    trainer = Trainer(job, rows["train"], rows["validation"])
    trainer.run()
    note("train")
    bound = {part: binding(trainer, rows[part]) for part in ("known", "heldOut")}
    note("bind")
    trials, successes = swap(job, trainer, of("known"), mean, scale)
    note("swap")
    print(json.dumps({"seconds": seconds, "binding": bound, "trials": trials, "successes": successes}))


if __name__ == "__main__":
    main()
