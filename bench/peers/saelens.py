"""One step of SAELens' own trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sae_lens.config import SAETrainerConfig
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from torch import Tensor

NAMES = {
    "W_enc": "encoder.weight",
    "b_enc": "encoder.bias",
    "W_dec": "decoder.weight",
    "b_dec": "decoder.bias",
}


def create_step(
    work: dict[str, Any],
    weights: dict[str, Tensor],
    batch: dict[str, Tensor],
    variant: str,
) -> Callable[[], float]:
    """A function that takes one step and returns its loss; the settings left out are SAELens' defaults."""
    sae = create_sae(work, variant)
    state = {name: weights[ours] for name, ours in NAMES.items()}
    sae.load_state_dict(state)
    rows = work["rows"]
    rate = work["optimizer"]["learningRate"]
    trainer = SAETrainer(
        # So many samples that nothing comes to an end while the step is timed.
        SAETrainerConfig(
            total_training_samples=rows * 1_000_000,
            train_batch_size_samples=rows,
            lr=rate,
            lr_end=rate,
        ),
        sae,
        iter(()),
    )

    def step() -> float:
        output = trainer.step(batch["x"])
        trainer.n_training_steps += 1
        return output.loss.item()

    return step


def create_sae(
    work: dict[str, Any], variant: str
) -> TopKTrainingSAE | StandardTrainingSAE:
    """The SAE that `work` describes, with what `variant` says to set apart from the defaults."""
    # Ours does not subtract the decoder's bias from its input.
    shape = {
        "d_in": work["dModel"],
        "d_sae": work["nFree"],
        "apply_b_dec_to_input": False,
    }
    if work["activation"] == "TOPK":
        options = dict(part.split("=") for part in variant.split(", ")[1:])
        flags = {name: value == "True" for name, value in options.items()}
        return TopKTrainingSAE(TopKTrainingSAEConfig(**shape, k=work["k"], **flags))
    # Both are sums over what ours takes a mean of.
    l1_coefficient = work["coefficients"]["sparse"] / work["nFree"]
    return StandardTrainingSAE(
        StandardTrainingSAEConfig(**shape, l1_coefficient=l1_coefficient)
    )
