"""BERT on one GPU: our layers on Keras's JAX backend compared with Hugging Face's on torch, in bfloat16.

    pip install 'keras_bert_scratch[parity]' 'jax[cuda13]'
    KERAS_BACKEND=jax python benchmarks/accelerator.py

A training step is forward, backward and AdamW's update for both losses, dropout 0.1; weights and moments are float32,
matrix products bfloat16. Inference computes the encoder's last hidden states; all weights are bfloat16. Rows are full:
no padding. Both sides have the same sizes, and their batches are on the device already. They take turns in one process;
the best round of each counts. The fraction of the peak compares the products that the task needs (`step_flops`: the
masked-word head at the masked positions only) with the fastest matrix product of 8192 x 8192 that torch reaches here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch needs memory too

import jax
import keras
import numpy as np
import torch
import transformers
import typer
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs
from keras_bert_scratch.training.flops import step_flops

RATE, DECAY = 1e-4, 0.01
CALLS = 10  # per round

Step = Callable[[], Any]  # does the work once; its result is ready after `wait`


class Size(NamedTuple):
    """A batch: rows, their length, and the masked positions of each (for training only)."""

    rows: int
    length: int
    predictions: int


TRAINING = (Size(128, 128, 20), Size(32, 512, 76))
INFERENCE = (Size(1, 128, 0), Size(128, 128, 0), Size(32, 512, 0))


def batch(config: kbs.BertConfig, size: Size) -> dict[str, np.ndarray]:
    """Random rows without padding, and their labels."""
    draws = np.random.default_rng(0)
    shape = (size.rows, size.length)
    positions = np.stack([np.sort(draws.permutation(size.length)[: size.predictions]) for _ in range(size.rows)])
    return {
        "token_ids": draws.integers(1000, config.vocab_size, shape).astype("int32"),
        "segment_ids": (np.arange(size.length) > size.length // 2).astype("int32") * np.ones(shape, "int32"),
        "padding_mask": np.ones(shape, "int32"),
        "mask_positions": positions.astype("int32"),
        "masked_lm": draws.integers(1000, config.vocab_size, positions.shape).astype("int32"),
        "next_sentence": draws.integers(0, 2, size.rows).astype("int32"),
    }


def values(variables: list) -> list:
    """Returns copies on the device, which a step may overwrite."""
    return [jax.numpy.array(variable.value) for variable in variables]


def ours_training(config: kbs.BertConfig, rows: dict[str, np.ndarray]) -> Step:
    """Our pretrainer and Keras's AdamW in one compiled step."""
    model = kbs.BertPretrainer(kbs.BertBackbone(config, dtype="mixed_bfloat16"))
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=DECAY)
    optimizer.build(model.trainable_variables)
    labels = {name: jax.device_put(rows[name]) for name in model.objectives}
    inputs = {name: jax.device_put(rows[name]) for name in model.input}

    def loss_of(trained: list, others: list) -> Any:
        outputs, others = model.stateless_call(trained, others, inputs, training=True)
        loss = 0.0
        for name, objective in model.objectives.items():
            total, _, count = objective.sums(labels[name], outputs, objective.weights(labels[name], inputs))
            loss += total / count
        return loss, others

    @jax.jit(donate_argnums=(0, 1, 2))
    def step(trained: list, others: list, moments: list) -> tuple:
        (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained, others)
        trained, moments = optimizer.stateless_apply(moments, gradients, trained)
        return loss, (trained, others, moments)

    state: Any = tuple(map(values, (model.trainable_variables, model.non_trainable_variables, optimizer.variables)))

    def run() -> Any:
        nonlocal state
        loss, state = step(*state)
        return loss

    return run


def ours_inference(config: kbs.BertConfig, rows: dict[str, np.ndarray]) -> Step:
    """Our backbone, compiled."""
    model = kbs.BertBackbone(config, dtype="bfloat16", pooler=False)
    variables = [values(model.trainable_variables), values(model.non_trainable_variables)]
    inputs = {name: jax.device_put(rows[name]) for name in model.input}
    call = jax.jit(lambda variables, inputs: model.stateless_call(*variables, inputs)[0])
    return lambda: call(variables, inputs)


def torch_config(config: kbs.BertConfig) -> transformers.BertConfig:
    """Returns the same sizes for transformers."""
    return transformers.BertConfig(
        vocab_size=config.vocab_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
    )


def torch_inputs(rows: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Returns the same rows, by Hugging Face's names."""
    names = {"token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask"}
    return {name: torch.tensor(rows[ours], dtype=torch.long, device="cuda") for ours, name in names.items()}


def torch_training(compiled: bool) -> Callable[[kbs.BertConfig, dict[str, np.ndarray]], Step]:
    """`BertForPreTraining` unchanged, under autocast, with the fused AdamW."""

    def make(config: kbs.BertConfig, rows: dict[str, np.ndarray]) -> Step:
        model = transformers.BertForPreTraining(torch_config(config)).cuda().train()
        optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY, fused=True)
        masked = np.full(rows["token_ids"].shape, -100, "int64")
        np.put_along_axis(masked, rows["mask_positions"], rows["masked_lm"], axis=1)
        inputs = torch_inputs(rows)
        inputs["labels"] = torch.tensor(masked, device="cuda")
        inputs["next_sentence_label"] = torch.tensor(rows["next_sentence"], dtype=torch.long, device="cuda")
        called = torch.compile(model) if compiled else model

        def run() -> Any:
            with torch.autocast("cuda", torch.bfloat16):
                loss = called(**inputs).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return loss

        return run

    return make


def torch_inference(compiled: bool) -> Callable[[kbs.BertConfig, dict[str, np.ndarray]], Step]:
    """`BertModel` unchanged."""

    def make(config: kbs.BertConfig, rows: dict[str, np.ndarray]) -> Step:
        model = transformers.BertModel(torch_config(config), add_pooling_layer=False).cuda().eval().to(torch.bfloat16)
        inputs = torch_inputs(rows)
        called = torch.compile(model) if compiled else model

        def run() -> Any:
            with torch.inference_mode():
                return called(**inputs).last_hidden_state

        return run

    return make


def wait(result: Any) -> None:
    """Returns when the device has finished all work."""
    jax.block_until_ready(result) if not isinstance(result, torch.Tensor) else torch.cuda.synchronize()


def seconds_of(step: Step) -> float:
    """Returns the mean seconds per call over a round."""
    start = time.perf_counter()
    for _ in range(CALLS):
        result = step()
    wait(result)
    return (time.perf_counter() - start) / CALLS


def matrix_peak(size: int = 8192) -> float:
    """Returns the highest operations per second of a matrix product in bfloat16."""
    factor = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    wait(factor @ factor)
    return 2.0 * size**3 / min(seconds_of(lambda: factor @ factor) for _ in range(5))


CONTENDERS: dict[str, dict[str, Callable[[kbs.BertConfig, dict[str, np.ndarray]], Step]]] = {
    "training": {
        "keras_bert_scratch on JAX": ours_training,
        "transformers": torch_training(compiled=False),
        "transformers, torch.compile": torch_training(compiled=True),
    },
    "inference": {
        "keras_bert_scratch on JAX": ours_inference,
        "transformers": torch_inference(compiled=False),
        "transformers, torch.compile": torch_inference(compiled=True),
    },
}


def main(
    preset: Annotated[str, typer.Option(help="Size of BERT.")] = "bert-base",
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 5,
) -> None:
    """Prints a table of times, ratios and fractions of the matrix peak."""
    config = kbs.BertConfig.preset(preset)
    peak = matrix_peak()
    table = Table("what", "rows x length", "side", "ms", "times ours", "tokens/s", "of the peak", box=None)
    for work, sides in CONTENDERS.items():
        for size in TRAINING if work == "training" else INFERENCE:
            rows = batch(config, size)
            steps = {name: make(config, rows) for name, make in sides.items()}
            for step in steps.values():
                seconds_of(step)
            best = dict.fromkeys(steps, float("inf"))
            for _ in range(rounds):
                for name, step in steps.items():
                    best[name] = min(best[name], seconds_of(step))
            flops = step_flops(config, size.rows, size.length, size.predictions, last_only_read=work == "training")
            flops /= 1 if work == "training" else 3
            ours = next(iter(best.values()))
            for name, seconds in best.items():
                tokens = size.rows * size.length / seconds
                ratio = f"{ours / seconds:.2f}"
                cells = (f"{seconds * 1000:.2f}", ratio, f"{tokens:,.0f}", f"{flops / seconds / peak:.0%}")
                print(work, *size, name, *cells, flush=True)
                table.add_row(work, f"{size.rows} x {size.length}", name, *cells)
            del steps, step
            torch.cuda.empty_cache()
    Console(width=140).print(table)
    print(f"{torch.cuda.get_device_name()}, peak {peak / 1e12:.0f} TFLOP/s; torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, jax {jax.__version__}, Keras {keras.__version__}")


if __name__ == "__main__":
    typer.run(main)
