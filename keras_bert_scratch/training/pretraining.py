"""Pretraining as one call: records in, a run directory with a pretrained model out."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.data.google.reader import GoogleRecords, open_records
from keras_bert_scratch.data.pretraining.reader import BERT_RULES, PretrainingRecords
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.pretraining.shard_plan import max_examples_of
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.causal_lm import BertCausalLM
from keras_bert_scratch.models.masked_lm import BertMaskedLM
from keras_bert_scratch.models.pretrainer import BertPretrainer
from keras_bert_scratch.progress import print_progress
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.flops import step_flops
from keras_bert_scratch.training.loop import Phase
from keras_bert_scratch.training.optimizers import BertAdamW
from keras_bert_scratch.training.options import RunOptions, TrainingOptions, dtype_policy_of
from keras_bert_scratch.training.resumable import run_training
from keras_bert_scratch.training.run_directory import RunDirectory, pin_start_commit, read_run, start_settings
from keras_bert_scratch.training.strategies import check_batch, distributed, is_chief

EVALUATION_STEPS = 40
EVALUATION_SEED = 1  # of order, pairs and masks: held-out examples are the same before and after, and in every run
EVALUATE_EVERY = 1000  # steps, for runs that are limited by `seconds`

Records = PretrainingRecords | GoogleRecords
PLAIN = RunOptions()


@dataclasses.dataclass(frozen=True)
class SecondPhase:
    """A last phase of pretraining with longer rows (Devlin et al. 2019, appendix A.2: 512 tokens for the last tenth).

    Args:
        max_length: int, default 512. Tokens per row.
        fraction: float, default 0.1. Fraction of the run, at its end.
        batch_size: int or None, default None. Rows per step; `None` for as many as before.

    Raises:
        UserError: the fraction is not between 0 and 1.

    Example:
        >>> SecondPhase(max_length=512).fraction
        0.1
    """

    max_length: int = 512
    fraction: float = 0.1
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise UserError(f"`second_fraction`: must be above 0 and below 1, not {self.fraction}")


def pretrain(
    records: Records,
    init: AnyPath | str | BertConfig,
    out: AnyPath | str,
    training: TrainingOptions,
    batch_size: int = 32,
    max_length: int = 128,
    seed: int = 0,
    held_out: Records | None = None,
    rules: ExampleRules = BERT_RULES,
    second_phase: SecondPhase | None = None,
    strategy: tf.distribute.Strategy | None = None,
    evaluate_every: int | None = None,
    options: RunOptions = PLAIN,
) -> RunDirectory:
    """Pretrains a model on masked tokens and next-sentence prediction (Devlin et al. 2019, section 3.1).

    The model is a `BertPretrainer`; without pairs a `BertMaskedLM`; if the objective is the next token, a
    `BertCausalLM` of that direction. It is new, or a pretrained model that continues on other text.

    Args:
        records: from `open_records` or `PretrainingRecords`. The training data.
        init: BertConfig, for random weights of these sizes; or path of a pretrained model's folder in any known format,
            to continue from. Its vocabulary must be that of the records.
        out: path, or an address such as `"gs://bucket/run"`. The run's folder; an unfinished run with the same settings
            is resumed, a finished one is left unchanged. The number of devices may change in between.
        training: TrainingOptions. Duration, optimizer and learning rate.
        batch_size: int, default 32. Rows per step, of all replicas together.
        max_length: int, default 128. Tokens per row.
        seed: int, default 0. Seed of weights, dropout, order, pairs and masks.
        held_out: records or None, default None. Data to evaluate on before, during and after training: a fixed set of
            batches, with the row length of the last phase.
        rules: ExampleRules, default BERT's. How examples are made from the records.
        second_phase: SecondPhase or None, default None. Longer rows at the end.
        strategy: from `make_strategy`; `None` for one device.
        evaluate_every: int or None, default None. Steps between evaluations on `held_out` during training; the best
            model is kept in `best/`. `None` for a tenth of the steps, or 1000 if `seconds` limits the run.
        options: RunOptions. Dtype, accumulation, recomputation, saving, gradients that are not finite.

    Returns: the finished run; its `results` hold `non_padding_fraction`, the fraction of positions that hold tokens,
        and with `held_out` also `held_out_before`, `held_out_after` and `best`.

    Raises:
        UserError: sizes do not fit, the records have another vocabulary, or the folder holds another run.
        Stopped, WorkerLostError: SIGTERM was received, or another worker is lost.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> with open("play.txt", "w") as file:
        ...     _ = file.write("Playing. Play!\\n\\nPlay? Play.")
        >>> _ = build_records("play.txt", BertTokenizer(vocabulary), "records")
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)
        >>> records = PretrainingRecords("records")
        >>> pretrain(records, config, "run", TrainingOptions(steps=1), batch_size=2, max_length=16).results["steps"]
        1
    """
    strategy = strategy or tf.distribute.get_strategy()
    init = pin_start_commit(init, out)
    config = init if isinstance(init, BertConfig) else _config_of(init, records)
    if rules.is_one_way:
        config = config.replace(direction=rules.objective)
    sizes = [(max_length, batch_size)]
    if second_phase:
        sizes.append((second_phase.max_length, second_phase.batch_size or batch_size))
    for length, rows in sizes:
        check_sizes(config, records, length, rules)
        check_batch(strategy, rows)
    if evaluate_every is not None and evaluate_every < 1:
        raise UserError(f"`evaluate_every`: must be at least 1, not {evaluate_every}")
    settings = {
        "task": "pretraining",
        "records": records.fingerprint,
        "vocabulary": records.tokenizer.vocabulary.sha256,
        "held_out": held_out.fingerprint if held_out else None,
        "rules": rules.to_dict(),
        "config": config.to_dict(),
        "batch_size": batch_size,
        "max_length": max_length,
        "second_phase": dataclasses.asdict(second_phase) if second_phase else None,
    }
    if not isinstance(init, BertConfig):
        settings |= start_settings(init)

    def build() -> Any:
        model_class = _model_class(rules)
        with_pooler = model_class is BertPretrainer
        how = {"dtype": options.dtype_policy, "packed": rules.packing, "remat": options.remat}
        if isinstance(init, BertConfig):
            model = model_class(BertBackbone(config, pooler=with_pooler, **how))
        else:
            model = model_class.from_pretrained(init, direction=config.direction, **how)
        model.compile(BertAdamW())  # so that `evaluate` runs our step, under every strategy
        return model

    # Evaluates on rows as the finished model will read them: those of the last phase.
    held_out_length, held_out_rows = sizes[-1]

    @functools.cache
    def majority() -> dict[str, float]:
        return label_majority(held_out, held_out_rows, held_out_length, rules)

    def measured(model: Any) -> dict[str, float]:
        return evaluate_pretraining(model, held_out, held_out_rows, held_out_length, rules) | majority()

    def prepare(run: RunDirectory, model: Any) -> PeriodicEvaluation | None:
        chief = is_chief(strategy)
        if "non_padding_fraction" not in run.results:
            run.add_results(non_padding_fraction=round(records.non_padding_fraction(max_length, seed, rules), 4))
            fraction = run.results["non_padding_fraction"]
            line = f"{records.directory}: {fraction:.1%} of the positions in rows of {max_length} hold tokens"
            if chief:
                print_progress(line)
        if not held_out:
            return None
        if "held_out_before" not in run.results:
            run.add_results(held_out_before=measured(model))
        every = evaluate_every or (max(1, training.steps // 10) if training.steps else EVALUATE_EVERY)
        return PeriodicEvaluation(
            run,
            every,
            lambda: measured(model),
            lambda folder: model.save_pretrained(folder, records.tokenizer),
            writes=chief,
        )

    def phase(length: int, rows: int, until: float) -> Phase:
        def batches(step: int, worker: int, num_workers: int) -> tf.data.Dataset:
            return records.batches(rows, length, seed, step, rules, worker, num_workers)

        predictions = length if rules.is_one_way else rules.masking.num_predictions(length)
        examples = max_examples_of(length, rules)
        return Phase(batches, rows, until, step_flops(config, rows, length, predictions, examples))

    ends = [1.0 - second_phase.fraction, 1.0] if second_phase else [1.0]
    phases = [phase(length, rows, until) for (length, rows), until in zip(sizes, ends, strict=True)]

    def complete(run: RunDirectory, model: Any, steps: int) -> dict[str, Any]:
        results = {"held_out_after": measured(model)} if held_out else {}
        if is_chief(strategy):
            model.save_pretrained(run.folder, records.tokenizer)
        return results

    return run_training(
        out, settings, build, prepare, phases, complete, training, options, seed, strategy, title="pretraining"
    )


def _model_class(rules: ExampleRules) -> Any:
    """The model class that is trained on examples of these rules."""
    if rules.is_one_way:
        return BertCausalLM
    return BertMaskedLM if rules.pairs == "none" else BertPretrainer


def _config_of(init: AnyPath | str, records: Records) -> BertConfig:
    """The config of a pretrained model; raises `UserError` if its vocabulary is not that of the records."""
    checkpoint = read_checkpoint(init)
    if checkpoint.vocabulary is not None and checkpoint.vocabulary.sha256 != records.tokenizer.vocabulary.sha256:
        raise UserError(
            f"{path_of(init)}: has another vocabulary than {records.directory}; build the records with its vocab.txt"
        )
    return checkpoint.config


def evaluate_pretraining(
    model: BertPretrainer | BertMaskedLM | BertCausalLM,
    records: Records,
    batch_size: int = 32,
    max_length: int = 128,
    rules: ExampleRules = BERT_RULES,
) -> dict[str, float]:
    """Loss and accuracy on a fixed set of batches from `records`; the model must be compiled and fit the rules."""
    check_sizes(model.backbone.config, records, max_length, rules)

    def batches(worker: int, num_workers: int) -> tf.data.Dataset:
        return records.batches(batch_size, max_length, EVALUATION_SEED, 0, rules, worker, num_workers)

    shared = distributed(model.distribute_strategy, batch_size, batches)
    results = model.evaluate(shared, steps=EVALUATION_STEPS, verbose=0, return_dict=True)
    return {name: round(float(value), 4) for name, value in sorted(results.items())}


def label_majority(records: Records, batch_size: int, max_length: int, rules: ExampleRules) -> dict[str, float]:
    """`next_sentence_majority`, the fraction of pairs in the same batches that have the more frequent label.

    The labels may be unbalanced: short rows hold few sentences, and a chunk of a single sentence always gets a random
    second one (as in Google's script). Empty without pairs.
    """
    if rules.pairs == "none" or rules.is_one_way:
        return {}
    ones = pairs = 0.0
    batches = records.batches(batch_size, max_length, EVALUATION_SEED, 0, rules).take(EVALUATION_STEPS)
    for _, labels, weights in batches.as_numpy_iterator():
        ones += float((labels["next_sentence"] * weights["next_sentence"]).sum())
        pairs += float(weights["next_sentence"].sum())
    return {"next_sentence_majority": round(max(ones, pairs - ones) / pairs, 4)}


def evaluate_pretrained(
    run: AnyPath | str,
    data: AnyPath | str,
    max_length: int | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
) -> dict[str, float]:
    """Evaluates a finished pretraining run on records, as the run itself did: same batches, rules and dtype.

    Args:
        run: path. The run's folder, or a model's.
        data: path. A folder of records.
        max_length: int or None, default None. Tokens per row; `None` for that of the run's last phase.
        batch_size: int or None, default None. Rows per batch; `None` for that of the run's last phase.
        dtype: str or None, default None. Dtype of the matrix products, as in `RunOptions`; `None` for the run's.
    """
    settings = (read_run(run) or {}).get("settings", {})
    stored = settings.get("rules")
    rules = ExampleRules.from_dict(stored) if stored else BERT_RULES
    records = open_records(data, BertTokenizer.load(run))
    model = _model_class(rules).from_pretrained(run, dtype=dtype_policy_of(run, dtype), packed=rules.packing)
    model.compile(BertAdamW())
    last = settings.get("second_phase") or {}
    max_length = max_length or trained_length(run) or model.backbone.config.max_position_embeddings
    batch_size = batch_size or last.get("batch_size") or settings.get("batch_size", 32)
    majority = label_majority(records, batch_size, max_length, rules)
    return evaluate_pretraining(model, records, batch_size, max_length, rules) | majority


def trained_length(run: AnyPath | str) -> int | None:
    """Tokens per row of a pretraining run's last phase; `None` for a model that is no run."""
    settings = (read_run(run) or {}).get("settings", {})
    last = settings.get("second_phase") or {}
    return last.get("max_length") or settings.get("max_length")


def check_sizes(config: BertConfig, records: Records, max_length: int, rules: ExampleRules = BERT_RULES) -> None:
    """Raises `UserError` unless a network of these sizes can read these records."""
    config.check_length(max_length)
    records.check(max_length, rules)
    config.check_vocabulary(records.vocab_size, records.directory)
    if rules.pairs != "none":
        config.check_pairs()
