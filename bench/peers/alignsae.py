"""One post-training step of an AlignSAE in plain PyTorch, with the authors' loss terms (arXiv 2512.02004)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class SaeShape:
    """What decides the shapes of the weights and how the free latents fire."""

    n_free: int
    n_concepts: int
    activation: str
    k: int


def encode(shape: SaeShape, weights: Tensors, x: Tensor) -> tuple[Tensor, Tensor]:
    """Free latents after their activation `[B, n_free]` and linear slots `[B, n_concepts]`."""
    pre, slots = torch.addmm(
        weights["encoder.bias"], x, weights["encoder.weight"]
    ).split([shape.n_free, shape.n_concepts], dim=1)
    if shape.activation == "RELU":
        return pre.relu(), slots
    if shape.activation == "TOPK":
        values, indices = pre.topk(shape.k, dim=1, sorted=False)
        return torch.zeros_like(pre).scatter(1, indices, values.relu()), slots
    return pre, slots


def decode(weights: Tensors, free: Tensor, slots: Tensor) -> Tensor:
    """Reconstruction `[B, d]`."""
    latents = torch.cat([free, slots], dim=1)
    return torch.addmm(weights["decoder.bias"], latents, weights["decoder.weight"])


def independence(free: Tensor) -> Tensor:
    """Sum of squared covariances of different latents, through `[B, B]`: the `[n, n]` matrix is never built."""
    rows = free.shape[0]
    centred = free - free.mean(dim=0)
    gram = centred @ centred.T / rows
    variances = centred.square().mean(dim=0)
    return gram.square().sum() - variances.square().sum()


def orthogonality(slots: Tensor, free: Tensor) -> Tensor:
    """Sum of squared covariances of slots and free latents."""
    rows = free.shape[0]
    covariance = (slots - slots.mean(dim=0)).T @ (free - free.mean(dim=0)) / rows
    return covariance.square().sum()


def value_logits(shape: SaeShape, weights: Tensors, slots: Tensor) -> Tensor:
    """Logits `[C · M, V]` from each row's own slot, one head a concept; rows come in C equal groups, concept 0's first."""
    groups = slots.reshape(shape.n_concepts, -1, shape.n_concepts)
    bound = groups.diagonal(dim1=0, dim2=2).T.unsqueeze(2)  # [C, M, 1]
    hidden = bound * weights["value.hidden.weight"].unsqueeze(1)
    hidden = (hidden + weights["value.hidden.bias"].unsqueeze(1)).relu()  # [C, M, H]
    out = torch.baddbmm(
        weights["value.out.bias"].unsqueeze(1), hidden, weights["value.out.weight"]
    )
    return out.flatten(0, 1)


def counterfactual(weights: Tensors, decoded: Tensor, slots: Tensor, batch: Tensors) -> Tensor:
    """Error of what is decoded with the row's own slot at 0 and the target's at 1, where a row has a partner."""
    targets, paired = batch["targets"], batch["paired"]
    others = 1 - torch.maximum(batch["concepts"], targets)
    change = slots * others + targets - slots
    columns = weights["decoder.weight"][-slots.shape[1] :]
    apart = (decoded + change @ columns - batch["partner"]) * paired.unsqueeze(1)
    return apart.square().sum() / (paired.sum().clamp(min=1) * decoded.shape[1])


def silence(shape: SaeShape, weights: Tensors, silent: Tensor) -> Tensor:
    """Mean square of the slots where no concept is in play; free latents are not computed."""
    columns = weights["encoder.weight"][:, shape.n_free :]
    return torch.addmm(weights["encoder.bias"][shape.n_free :], silent, columns).square().mean()


def posttrain_loss(
    shape: SaeShape, coefficients: dict[str, float], weights: Tensors, batch: Tensors
) -> Tensor:
    """The weighted sum of the curriculum's second stage; terms of weight 0 are not computed."""
    x = batch["x"]
    free, slots = encode(shape, weights, x)
    decoded = decode(weights, free, slots)
    terms: dict[str, Callable[[], Tensor]] = {
        "recon": lambda: F.mse_loss(decoded, x),
        "sparse": lambda: free.abs().mean(),
        "bindMse": lambda: F.mse_loss(slots, batch["concepts"]),
        "bindCrossEntropy": lambda: F.cross_entropy(
            coefficients["bindLogitScale"] * slots, batch["concepts"].argmax(dim=1)
        ),
        "indep": lambda: independence(free),
        "ortho": lambda: orthogonality(slots, free),
        "value": lambda: F.cross_entropy(
            value_logits(shape, weights, slots), batch["answers"]
        ),
        "counterfactual": lambda: counterfactual(weights, decoded, slots, batch),
        "silence": lambda: silence(shape, weights, batch["silent"]),
    }
    if shape.activation == "TOPK":
        del terms["sparse"]
    return torch.stack(
        [coefficients[name] * term() for name, term in terms.items() if coefficients[name] > 0]
    ).sum()


def create_step(
    work: dict[str, Any], weights: Tensors, batch: Tensors, fused: bool
) -> Callable[[], float]:
    """A function that takes one step and returns its loss."""
    shape = SaeShape(work["nFree"], work["nConcepts"], work["activation"], work["k"])
    coefficients, settings = work["coefficients"], work["optimizer"]
    parameters = {name: value.requires_grad_() for name, value in weights.items()}
    batch = {**batch, "answers": batch["answers"].long()}
    optimizer = torch.optim.AdamW(
        parameters.values(),
        lr=settings["learningRate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        weight_decay=settings["weightDecay"],
        fused=fused or None,
    )

    def step() -> float:
        optimizer.zero_grad()
        loss = posttrain_loss(shape, coefficients, parameters, batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
