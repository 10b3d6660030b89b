"""Hugging Face's models: a training step, the capture of a residual stream, greedy generation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)


def create_model(config: dict[str, Any], weights: dict[str, Tensor]) -> PreTrainedModel:
    """The model with these weights, without dropout and without an end token: every row is generated to its end."""
    if "decoder" not in config:
        model: PreTrainedModel = GPT2LMHeadModel(gpt2_config(config))
        state = {f"transformer.{name}": value for name, value in weights.items()}
    else:
        model = LlamaForCausalLM(llama_config(config))
        state = dict(llama_weights(config, weights))
    missing, unexpected = model.load_state_dict(state, strict=False)
    if set(missing) - {"lm_head.weight"} or unexpected:
        raise ValueError(
            f"weights do not fit: missing {missing}, unexpected {unexpected}"
        )
    model.tie_weights()
    return model


def gpt2_config(config: dict[str, Any]) -> GPT2Config:
    return GPT2Config(
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
        bos_token_id=None,
        eos_token_id=None,
    )


def llama_config(config: dict[str, Any]) -> LlamaConfig:
    decoder = config["decoder"]
    attention = decoder["attention"]
    return LlamaConfig(
        vocab_size=config["dVocab"],
        max_position_embeddings=config["nCtx"],
        hidden_size=config["dModel"],
        num_hidden_layers=config["nLayers"],
        num_attention_heads=config["nHeads"],
        num_key_value_heads=attention["nKeyValueHeads"],
        head_dim=attention["dHead"],
        intermediate_size=config["dMlp"],
        rms_norm_eps=config["layerNormEps"],
        rope_theta=float(decoder["rotary"]["base"]),
        tie_word_embeddings=decoder["tied"],
        bos_token_id=None,
        eos_token_id=None,
    )


def llama_weights(
    config: dict[str, Any], weights: dict[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Our weights by the names of Llama's checkpoints, whose projections are transposed and apart."""
    width = (
        config["decoder"]["attention"]["dHead"]
        * config["decoder"]["attention"]["nKeyValueHeads"]
    )
    for name, value in weights.items():
        block = re.fullmatch(r"h\.(\d+)\.(.+)\.weight", name)
        if block is None:
            yield (
                {"wte": "model.embed_tokens", "ln_f": "model.norm"}[name.split(".")[0]]
                + ".weight",
                value,
            )
            continue
        at, part = f"model.layers.{block[1]}", block[2]
        if part == "attn.c_attn":
            queries = value.shape[1] - 2 * width
            for letter, columns in zip("qkv", value.split([queries, width, width], 1)):
                yield f"{at}.self_attn.{letter}_proj.weight", columns.T.contiguous()
        elif part.startswith("ln_"):
            yield (
                f"{at}.{'input' if part == 'ln_1' else 'post_attention'}_layernorm.weight",
                value,
            )
        else:
            projection = {
                "attn.c_proj": "self_attn.o_proj",
                "mlp.c_gate": "mlp.gate_proj",
                "mlp.c_fc": "mlp.up_proj",
                "mlp.c_proj": "mlp.down_proj",
            }[part]
            yield f"{at}.{projection}.weight", value.T.contiguous()


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
    # Matrices; gains of norms and biases are vectors.
    decayed = [p for _, p in named if p.dim() == 2]
    others = [p for _, p in named if p.dim() != 2]
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
    tokens, labels = batch["inputs"].long(), batch["labels"].long()

    def step() -> float:
        optimizer.zero_grad()
        # What is padded stands at the right, so that no mask is needed.
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clipNorm"])
        optimizer.step()
        return loss.item()

    return step


class Captured(Exception):
    """Ends a forward pass at the block that was asked for."""


def create_capture(
    work: dict[str, Any], weights: dict[str, Tensor], batch: dict[str, Tensor]
) -> Callable[[], Tensor]:
    """A function that returns the residual stream after a block, `[rows, tokens, d]`."""
    model = create_model(work["config"], weights).eval()
    tokens = batch["tokens"].long()
    captured: list[Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, output: Any) -> None:
        captured.append(output[0] if isinstance(output, tuple) else output)
        raise Captured

    body = model.base_model
    blocks = body.h if hasattr(body, "h") else body.layers
    blocks[work["layer"]].register_forward_hook(keep)

    def capture() -> Tensor:
        captured.clear()
        with torch.inference_mode():
            try:
                body(input_ids=tokens, use_cache=False)
            except Captured:
                pass
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
