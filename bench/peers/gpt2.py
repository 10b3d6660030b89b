"""Hugging Face's GPT-2: a training step, the capture of a residual stream, greedy generation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel


def create_model(config: dict[str, Any], weights: dict[str, Tensor]) -> GPT2LMHeadModel:
    """The model with these weights, without dropout."""
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config["dVocab"],
            n_positions=config["nCtx"],
            n_embd=config["dModel"],
            n_layer=config["nLayers"],
            n_head=config["nHeads"],
            n_inner=config["dMlp"],
            layer_norm_epsilon=config["layerNormEps"],
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            # Without an end token, every row is generated to its end.
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    missing, unexpected = model.transformer.load_state_dict(weights, strict=False)
    if missing or unexpected:
        raise ValueError(
            f"weights do not fit: missing {missing}, unexpected {unexpected}"
        )
    model.tie_weights()
    return model


def create_step(
    work: dict[str, Any],
    weights: dict[str, Tensor],
    batch: dict[str, Tensor],
    fused: bool,
) -> Callable[[], float]:
    """A function that takes one training step and returns its loss."""
    model = create_model(work["config"], weights).train()
    settings = work["optimizer"]
    named = list(model.named_parameters())
    decayed = [p for name, p in named if name.endswith(".weight") and "ln_" not in name]
    others = [
        p for name, p in named if not (name.endswith(".weight") and "ln_" not in name)
    ]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings["weightDecay"]},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=settings["learningRate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        fused=fused or None,
    )
    tokens = batch["tokens"].long()

    def step() -> float:
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clipNorm"])
        optimizer.step()
        return loss.item()

    return step


def create_capture(
    work: dict[str, Any], weights: dict[str, Tensor], batch: dict[str, Tensor]
) -> Callable[[], Tensor]:
    """A function that returns the residual stream after the last block, `[rows, tokens, d]`."""
    model = create_model(work["config"], weights).eval()
    tokens = batch["tokens"].long()
    captured: list[Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, output: Any) -> None:
        captured.append(output[0] if isinstance(output, tuple) else output)

    model.transformer.h[-1].register_forward_hook(keep)

    def capture() -> Tensor:
        captured.clear()
        with torch.inference_mode():
            model.transformer(input_ids=tokens, use_cache=False)
        return captured[0]

    return capture


def create_generation(
    work: dict[str, Any], weights: dict[str, Tensor], batch: dict[str, Tensor]
) -> Callable[[], Tensor]:
    """A function that returns what greedy generation adds to the prompts, `[rows, new]`."""
    model = create_model(work["config"], weights).eval()
    tokens = batch["tokens"].long()
    attention_mask = torch.ones_like(tokens)

    def generate() -> Tensor:
        with torch.inference_mode():
            whole = model.generate(
                tokens,
                attention_mask=attention_mask,
                max_new_tokens=work["newTokens"],
                do_sample=False,
                use_cache=True,
                pad_token_id=0,
            )
        return whole[:, tokens.shape[1] :]

    return generate
