"""Pretraining as one call: records in, a run directory with a pretrained model out."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.data.pretraining.reader import BERT_RULES
from keras_bert_scratch.data.pretraining.rules import OBJECTIVES, ExampleRules
from keras_bert_scratch.data.pretraining.shard_plan import max_examples_of
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of, path_to_write
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.pretrainer import BertPretrainer
from keras_bert_scratch.progress import print_progress
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.flops import step_flops
from keras_bert_scratch.training.loop import Phase
from keras_bert_scratch.training.optimizers import BertAdamW
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.pretraining_evaluation import (
    Records,
    check_sizes,
    evaluate_pretraining,
    label_majority,
    model_class_of,
)
from keras_bert_scratch.training.resumable import run_training, tokenizer_settings
from keras_bert_scratch.training.run_directory import RunDirectory, pin_start_commit, read_run, start_settings
from keras_bert_scratch.training.strategies import check_batch, is_chief

EVALUATE_EVERY = 1000  # steps, for runs that are limited by `seconds`

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
        UserError: sizes do not fit, a rule has no effect on the records, they have another vocabulary, or the folder
            holds another run.
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
    init = pin_start_commit(init, out)
    config = init if isinstance(init, BertConfig) else _config_of(init, records)
    if rules.is_one_way:
        config = config.replace(direction=rules.objective)
    strategy = strategy or tf.distribute.get_strategy()
    pretraining = Pretraining(
        records,
        init,
        config,
        training,
        batch_size,
        max_length,
        seed,
        held_out,
        rules,
        second_phase,
        strategy,
        evaluate_every,
        options,
    )
    pretraining.check()
    if read_run(path_to_write(out)) is None:
        pretraining.check_effect()
    return pretraining.run(out)


@dataclasses.dataclass(frozen=True, eq=False)
class Pretraining:
    """Everything that a pretraining run needs except its folder.

    Args:
        config: BertConfig. The sizes of the model.
        others: as in `pretrain`.
    """

    records: Records
    init: AnyPath | str | BertConfig
    config: BertConfig
    training: TrainingOptions
    batch_size: int
    max_length: int
    seed: int
    held_out: Records | None
    rules: ExampleRules
    second_phase: SecondPhase | None
    strategy: tf.distribute.Strategy
    evaluate_every: int | None
    options: RunOptions

    def check(self) -> None:
        """Raises `UserError` for settings that can be rejected before a folder is created."""
        for length, rows in self.row_sizes:
            check_sizes(self.config, self.records, length, self.rules)
            check_batch(self.strategy, rows)
        if self.evaluate_every is not None and self.evaluate_every < 1:
            raise UserError(f"`evaluate_every`: must be at least 1, not {self.evaluate_every}")

    def check_effect(self) -> None:
        """Raises `UserError` for settings without effect; runs of older versions have them and can be resumed."""
        self.records.check_effect(self.rules)
        if self.evaluate_every is not None and self.held_out is None:
            raise UserError("`evaluate_every`: needs `held_out`, records to evaluate on")
        if not isinstance(self.init, BertConfig) and not self.rules.is_one_way and self.config.direction in OBJECTIVES:
            raise UserError(
                f"{path_of(self.init)}: is a {self.config.direction} model; give `objective='{self.config.direction}'`"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """The settings with which the run can be resumed."""
        settings = {
            "task": "pretraining",
            "records": self.records.fingerprint,
            **tokenizer_settings(self.records.tokenizer),
            "held_out": self.held_out.fingerprint if self.held_out else None,
            "rules": self.rules.to_dict(),
            "config": self.config.to_dict(),
            "batch_size": self.batch_size,
            "max_length": self.max_length,
            "second_phase": dataclasses.asdict(self.second_phase) if self.second_phase else None,
        }
        return settings if isinstance(self.init, BertConfig) else settings | start_settings(self.init)

    @property
    def row_sizes(self) -> list[tuple[int, int]]:
        """Tokens per row and rows per batch, for each phase."""
        sizes = [(self.max_length, self.batch_size)]
        if second := self.second_phase:
            sizes.append((second.max_length, second.batch_size or self.batch_size))
        return sizes

    def run(self, out: AnyPath | str) -> RunDirectory:
        """Pretrains in the folder `out`, or resumes the run there; returns the finished run."""
        ends = [1.0 - self.second_phase.fraction, 1.0] if self.second_phase else [1.0]
        phases = [self._phase(*sizes, until) for sizes, until in zip(self.row_sizes, ends, strict=True)]
        return run_training(
            out,
            self.settings,
            self._build,
            self._prepare,
            phases,
            self._complete,
            self.training,
            self.options,
            self.seed,
            self.strategy,
            title="pretraining",
        )

    def _build(self) -> Any:
        model_class = model_class_of(self.rules)
        how = {"dtype": self.options.dtype_policy, "packed": self.rules.packing, "remat": self.options.remat}
        if isinstance(self.init, BertConfig):
            model = model_class(BertBackbone(self.config, pooler=model_class is BertPretrainer, **how))
        else:
            model = model_class.from_pretrained(self.init, direction=self.config.direction, **how)
        model.compile(BertAdamW())  # so that `evaluate` runs our step, under every strategy
        return model

    def _prepare(self, run: RunDirectory, model: Any) -> PeriodicEvaluation | None:
        if "non_padding_fraction" not in run.results:
            fraction = round(self.records.non_padding_fraction(self.max_length, self.seed, self.rules), 4)
            run.add_results(non_padding_fraction=fraction)
            if is_chief(self.strategy):
                rows = f"the first rows of {self.max_length}"
                print_progress(f"{self.records.directory}: {fraction:.1%} of the positions in {rows} hold tokens")
        if not self.held_out:
            return None
        if "held_out_before" not in run.results:
            run.add_results(held_out_before=self._measure(model))
        steps = self.training.steps
        return PeriodicEvaluation(
            run,
            self.evaluate_every or (max(1, steps // 10) if steps else EVALUATE_EVERY),
            lambda: self._measure(model),
            lambda folder: model.save_pretrained(folder, self.records.tokenizer),
            writes=is_chief(self.strategy),
        )

    def _phase(self, length: int, rows: int, until: float) -> Phase:
        def batches(step: int, worker: int, num_workers: int) -> tf.data.Dataset:
            return self.records.batches(rows, length, self.seed, step, self.rules, worker, num_workers)

        predictions = length if self.rules.is_one_way else self.rules.masking.num_predictions(length)
        examples = max_examples_of(length, self.rules)
        return Phase(batches, rows, until, step_flops(self.config, rows, length, predictions, examples))

    def _complete(self, run: RunDirectory, model: Any, steps: int) -> dict[str, Any]:
        results = {"held_out_after": self._measure(model)} if self.held_out else {}
        if is_chief(self.strategy):
            model.save_pretrained(run.folder, self.records.tokenizer)
        return results

    def _measure(self, model: Any) -> dict[str, float]:
        """Evaluates on rows as the finished model will read them: those of the last phase."""
        length, rows = self.row_sizes[-1]
        return evaluate_pretraining(model, self.held_out, rows, length, self.rules) | self._majority

    @functools.cached_property
    def _majority(self) -> dict[str, float]:
        length, rows = self.row_sizes[-1]
        return label_majority(self.held_out, rows, length, self.rules)


def _config_of(init: AnyPath | str, records: Records) -> BertConfig:
    """The config of a pretrained model; raises `UserError` if it reads text in another way than the records."""
    checkpoint = read_checkpoint(init)
    rules, rules_of_records = checkpoint.rules, records.tokenizer.rules
    if checkpoint.vocabulary is not None and checkpoint.vocabulary.sha256 != records.tokenizer.vocabulary.sha256:
        raise UserError(
            f"{path_of(init)}: has another vocabulary than {records.directory}; build the records with its vocab.txt"
        )
    # Only words of more than 100 characters depend on `max_word_length`, which Hugging Face and Google set differently.
    for name in ("lowercase", "strip_accents", "tokenize_chinese_chars"):
        if rules is not None and getattr(rules, name) != getattr(rules_of_records, name):
            raise UserError(
                f"{path_of(init)}: its tokenizer has {name}={getattr(rules, name)}, that of {records.directory} has "
                f"{getattr(rules_of_records, name)}; build the records with `vocab` set to the model's folder"
            )
    return checkpoint.config
