"""FineTuned: a model with everything it needs to predict on raw text; it has no task-specific code."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints import native
from keras_bert_scratch.checkpoints.checkpoint import check_is_no_export
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.file_set import replaced_together
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.objectives import by_objective
from keras_bert_scratch.tasks.data.columns import as_tensors, in_order
from keras_bert_scratch.tasks.data.length_bucketing import sorted_batches
from keras_bert_scratch.tasks.data.token_counter import TokenCounter
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.predictor import BATCH_SIZE, ROWS_AT_ONCE, Predictor, ignore
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.training.options import dtype_policy_of


@dataclasses.dataclass(frozen=True, eq=False)
class FineTuned(Predictor):
    """A fine-tuned model, which predicts on raw text and is evaluated on labelled text.

    Args:
        model: an instance of the task's `model_class`.
        tokenizer: BertTokenizer. With the vocabulary that the model was trained with.
        spec: Spec. What it was trained for.
        network: callable or None, default None. What computes the outputs in place of the model, such as another
            engine; its inputs and outputs are those of the model.

    Raises:
        UserError: model, vocabulary and spec do not match.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=64)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 128, ("no", "yes"))
        >>> [sorted(row) for row in FineTuned(model, BertTokenizer(vocabulary), spec).predict({"text": ["play"]})]
        [['label', 'score', 'scores']]
    """

    model: Any
    tokenizer: BertTokenizer
    spec: Spec
    network: Any = None

    def __post_init__(self) -> None:
        expected = self.task.model_class
        if type(self.model) is not expected:
            raise UserError(
                f"`model`: the task {self.spec.task} needs a {expected.__name__}, not a {type(self.model).__name__}"
            )
        for name, value in self.task.model_arguments(self.spec).items():
            held = getattr(self.model, name)
            if name == "label_names":
                held = held or value  # a model may have no names for its classes
            if held != value:
                raise UserError(f"`model`: has {name} {held!r}, but the task's spec requires {value!r}")
        config = self.model.backbone.config
        config.check_length(self.spec.max_length)
        config.check_vocabulary(len(self.tokenizer.vocabulary), self.tokenizer.vocabulary.origin)
        if len(self.spec.columns) > 1:
            config.check_pairs()

    def resolve_options(self, results: Mapping[str, Any]) -> FineTuned:
        """The same model; open options of its spec are decided by `results` on held-out data, if there are any."""
        return dataclasses.replace(self, spec=self.task.resolve_options(self.spec, results))

    @functools.cached_property
    def digest(self) -> str:
        spec = dataclasses.replace(self.spec, header_names={}, row_lengths=()).to_dict()
        both = (self.tokenizer, self.tokenizer.target)
        tokenizer = [(one.vocabulary.sha256, dataclasses.asdict(one.rules)) for one in both]
        network = [type(self.model).__name__, self.model.backbone.config.to_dict(), self.model.compute_dtype]
        digest = hashlib.sha256(json.dumps([spec, tokenizer, network]).encode())
        for weight in self.model.weights:
            digest.update(np.asarray(weight))
        return digest.hexdigest()

    def save(self, directory: AnyPath | str) -> None:
        """Writes model, vocabulary and `task.json` into `directory`: all of them, or none if the process dies."""
        with replaced_together(directory) as staged:
            self.model.save_pretrained(staged, self.tokenizer)
            self.spec.save(staged)
            native.renew_card(staged, directory)

    @classmethod
    def load(
        cls,
        directory: AnyPath | str,
        dtype: str | None = None,
        task: str | None = None,
        prediction_options: Mapping[str, Any] | None = None,
    ) -> FineTuned:
        """Loads what `save` wrote, a finished fine-tuning run, or a third-party model in any known format.

        Args:
            directory: path.
            dtype: str or None, default None. Of the matrix products: `"float32"`, `"bfloat16"` or `"float16"`; `None`
                for the dtype of the training run, or float32 if the folder is not a run.
            task: str or None, default None. The task to use the model for; `None` for the one that it was fine-tuned
                for, or that its class implies.
            prediction_options: mapping or None, default None. The task's prediction options to change, such as
                `{"pooling": "max"}` for embed; the others keep their values.

        Raises:
            UserError: there is no model with a head for the task, or it is damaged.
        """
        spec = Spec.load(directory, task).with_prediction_options(prediction_options or {})
        check_is_no_export(directory)
        task, policy = get_task(spec.task), dtype_policy_of(directory, dtype)
        model = task.model_class.from_pretrained(directory, dtype=policy, **task.model_arguments(spec))
        return cls(model, BertTokenizer.load(directory), spec)

    def with_options(self, options: Mapping[str, Any]) -> FineTuned:
        model, spec = self.model, dataclasses.replace(self.spec, options=options)
        arguments = self.task.model_arguments(spec)
        has_head = len(model.weights) > len(model.backbone.weights)
        if not has_head and arguments != self.task.model_arguments(self.spec):  # such as another pooling
            model = self.task.model_class(model.backbone, **arguments)
        return FineTuned(model, self.tokenizer, spec)

    @property
    def rows_at_once(self) -> int:
        return min(ROWS_AT_ONCE, self.task.rows_at_once(self.spec, self.model) or ROWS_AT_ONCE)

    def tuned(self, examples: Examples) -> FineTuned:
        """The same model; the option that its task tunes has its best value for these labelled rows."""
        decoded, _ = self.decoded(examples.raw, examples.gold)
        return dataclasses.replace(self, spec=self.task.tuned(self.spec, decoded, examples.gold))

    def decoded(
        self,
        raw: Mapping[str, Sequence[Any]],
        gold: Mapping[str, Any] | None = None,
        on_batch: Callable[[int], None] = ignore,
    ) -> tuple[dict[str, np.ndarray], float | None]:
        """See `Predictor.decoded`.

        Rows of similar length share a batch, which is padded only as far as its longest row needs. A batch has at most
        `BATCH_SIZE` windows, or a single row; it is larger if the task requests that and no loss is to be computed.
        """
        num_tokens, windows = self.count_tokens(raw)
        longest = np.maximum.reduceat(num_tokens, np.cumsum(windows) - windows) if len(windows) else num_tokens
        size = self.task.batch_size(self.spec, self.model) if gold is None else None
        batches = sorted_batches(longest, size or BATCH_SIZE, windows)
        parts, sums = [], np.zeros((2, len(self.model.objectives)))
        for rows in batches:
            decoded, loss_sums = self._step(as_tensors(raw, rows), as_tensors(gold or {}, rows))
            parts.append({name: value.numpy() for name, value in decoded.items()})
            sums += loss_sums.numpy()
            on_batch(len(rows))
        loss_weights = [objective.loss_weight for objective in self.model.objectives.values()]
        losses = np.divide(*sums, out=np.zeros(len(sums[0])), where=sums[1] > 0)
        return in_order(parts, batches), float(np.sum(loss_weights * losses)) if loss_weights else None

    @functools.cached_property
    def count_tokens(self) -> TokenCounter:
        return TokenCounter(self.task, self.spec, self.tokenizer)

    @functools.cached_property
    def _step(self) -> Any:
        @tf.function(reduce_retracing=True, autograph=False)
        def step(raw: dict[str, tf.Tensor], gold: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            features = self.task.features(self.spec, self.tokenizer, raw)
            outputs, answers = self.task.predict(self.spec, self.network or self.model, features)
            sums = tf.zeros((2, len(self.model.objectives)))
            if gold and self.model.objectives:
                if self.task.teacher_forced:
                    features = self.task.with_teacher_forcing(self.spec, features, gold)
                    outputs = self.model(features.inputs, training=False)
                targets = self.task.targets(self.spec, features, gold, training=False)
                sums = _loss_sums(self.model, features.inputs, outputs, *targets)
            return answers, sums

        return step


def _loss_sums(model: Any, inputs: Any, outputs: Any, labels: Any, sample_weight: Any) -> tf.Tensor:
    """The sums of losses and weights, float32 `(2, objectives)`."""
    labels, sample_weight = by_objective(model.objectives, labels, sample_weight)
    columns = []
    for name, objective in model.objectives.items():
        weights = objective.weights(labels[name], inputs, sample_weight[name])
        loss, _, weight = objective.sums(labels[name], outputs, weights)
        columns.append([loss, weight])
    return tf.transpose(tf.convert_to_tensor(columns))
