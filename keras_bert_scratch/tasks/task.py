"""Task: the interface that each task implements, in one file."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.error_analysis import Breakdown, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec, as_json
from keras_bert_scratch.text.tokenizer import BertTokenizer


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a task that has none."""


class Task(abc.ABC):
    """One downstream task: its reader, features, head, answers and metrics. It holds no state.

    `features`, `targets` and `decode` run inside TensorFlow graphs: in the input pipeline, in `predict` and in the
    exported signature.
    """

    name: ClassVar[str]
    best_by: ClassVar[tuple[str, str]]  # the metric that picks the best epoch, and "max" or "min"
    model_class: ClassVar[type]
    Options: ClassVar[type] = NoOptions  # a dataclass; its fields become flags of `keras-bert finetune`
    PredictionOptions: ClassVar[type] = NoOptions  # the same for `predict` and `export`; may differ from call to call
    tunable: ClassVar[bool] = True  # whether `finetune` can train it
    learns_vocabulary: ClassVar[bool] = (
        False  # whether it can train from scratch, with a vocabulary learnt from its training data
    )
    columns: ClassVar[tuple[str, ...]] = ("text",)  # for a model that does not state what it was trained on
    list_columns: ClassVar[tuple[str, ...]] = ()  # columns that have a list of strings in each row
    outputs: ClassVar[Mapping[str, str]]  # of the exported signatures, by name: a description for the model card
    # The method of TensorFlow Serving's API that it supports besides `predict`: `classify` or `regress`.
    method: ClassVar[str] = ""
    carried: ClassVar[tuple[str, ...]] = ()  # columns that `predict` only copies to its answers
    candidates_are_exclusive: ClassVar[bool] = True  # else each candidate is assigned or not independently
    too_costly: ClassVar[str] = "split the text"  # what a client can do about a row that is too costly to answer
    # Whether the model also reads the gold answer when it trains or its loss is computed, but not when it predicts.
    teacher_forced: ClassVar[bool] = False

    @abc.abstractmethod
    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        """Reads labelled rows.

        Args:
            source: a table's path, or columns in memory by name.
            spec: without columns for training data, which determine columns and labels; else the data must match both.
            on_bad_row: what to do with bad rows: `"fail"`, or `"skip"` and count.

        Returns: the completed spec and the examples.
        """

    @abc.abstractmethod
    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        """Yields the rows of a table without labels, for `predict`, in constant memory."""

    def forms(self, spec: Spec) -> tuple[tuple[str, ...], ...]:
        """The sets of columns that the model accepts, `spec.columns` first; each becomes an exported signature."""
        return ((*spec.columns, *self.optional_columns(spec)),)

    def optional_columns(self, spec: Spec) -> tuple[str, ...]:
        """Columns of strings that may be omitted (then empty); the exported signature has them besides the spec's."""
        return ()

    def sample(self, columns: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
        """A row to try a model with: all words in the first column, which has the longest texts, one in the others."""
        row: dict[str, Any] = {}
        for column in columns:
            some = words if column == columns[0] else words[:1]
            row[column] = list(some) if column in self.list_columns else " ".join(some)
        return row

    def is_windowed(self, spec: Spec) -> bool:
        """Whether a row that is too long is read in several windows."""
        return False

    def num_sequences(self, spec: Spec, features: Features) -> Any:
        """How many sequences the model reads to answer each row, int32 `(rows,)`; a server limits them."""
        return tf.ones_like(features.token_counts) if features.windows is None else features.windows

    def rows_at_once(self, spec: Spec, model: Any) -> int | None:
        """How many rows of a stream may be predicted together if answers are long; `None` for any number."""
        return None

    def batch_size(self, spec: Spec, model: Any) -> int | None:
        """How many rows to predict together if answers take many steps; `None` for the usual number."""
        return None

    def check_columns(self, spec: Spec, raw: Raw) -> None:
        """Raises `UserError` unless `raw` has the columns that the model accepts."""
        spec.check_columns(raw)

    def fault(self, row: Mapping[str, Any]) -> BadRow | None:
        """What is wrong with a row for prediction, if anything."""
        return None

    def command(self, init: AnyPath | str) -> str:
        """The command that trains the model in the folder `init` for this task."""
        return f"keras-bert finetune --task {self.name} --init {init}"

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        """The spec of a model without `task.json`, such as a third-party model.

        Raises:
            UserError: the model has no head for this task.
        """
        if checkpoint.architecture != self.model_class.__name__:
            raise UserError(
                f"{directory}: holds a {checkpoint.architecture}, which has no head for {self.name}; train one with "
                f"'{self.command(directory)}'"
            )
        options = {**as_json(self.Options()), **as_json(self.PredictionOptions())}
        return Spec(self.name, self.columns, checkpoint.config.max_position_embeddings, options=options)

    @abc.abstractmethod
    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        """What the model reads for some rows, padded no further than the longest window needs.

        Args:
            spec, tokenizer: of the model.
            raw: string tensors `(rows,)` by column; a column of lists is ragged, `(rows, None)`.
            chosen: int32 `(rows,)`, default `None`. The index of the one window to return for each row, in place of
                all; training reads single windows. Rows that are not split into windows have one.
        """

    def with_teacher_forcing(self, spec: Spec, features: Features, gold: Mapping[str, Any]) -> Features:
        """The features plus, for a `teacher_forced` task, what the model reads of the gold answers."""
        return features

    @abc.abstractmethod
    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        """Labels and sample weights (or `None`) of the windows, as the model's `fit` takes them.

        `training` tells whether they are for training or for evaluation.
        """

    def tokenizer(self, spec: Spec, init: Any, examples: Examples) -> BertTokenizer:
        """The tokenizer of a new run.

        Args:
            spec: of the run; its options may affect the tokenizer.
            init: path of the model's folder that it starts from, or a BertConfig.
            examples: to learn a vocabulary from, if the task does that.

        Raises:
            UserError: there is no vocabulary to start with.
        """
        if isinstance(init, BertConfig):
            raise UserError("`tokenizer`: is required with a BertConfig")
        return BertTokenizer.load(init)

    @abc.abstractmethod
    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        """The arguments of `model_class` besides the backbone."""

    def new_model(self, spec: Spec, init: Any, tokenizer: BertTokenizer, dtype: str, remat: bool) -> Any:
        """The model that a run starts with; `init` as for `tokenizer`."""
        return self.initialized_model(init, dtype, remat, **self.model_arguments(spec))

    def initialized_model(self, init: Any, dtype: str, remat: bool, **arguments: Any) -> Any:
        """A `model_class` with the weights in the folder `init`, or with random weights of a BertConfig's sizes."""
        if isinstance(init, BertConfig):
            return self.model_class(BertBackbone(init, dtype=dtype, remat=remat), **arguments)
        return self.model_class.from_pretrained(init, dtype=dtype, remat=remat, **arguments)

    def inference_model(self, model: Any) -> Any:
        """The model that predicts, taken from the one that is trained; they differ for a student in distillation."""
        return model

    def label_mask(self, features: Features) -> Any:
        """The mask of the positions that a token model learns, float32 `(windows, length)`; here all but padding."""
        return tf.cast(features.inputs["padding_mask"], tf.float32)

    def call_model(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """The model's outputs for some windows."""
        return model(inputs, training=False)

    def predict(self, spec: Spec, model: Any, features: Features) -> tuple[Any, dict[str, Any]]:
        """The model's outputs for some rows, and the answers decoded from them."""
        outputs = self.call_model(model, features.inputs)
        again = self.follow_up(spec, model, outputs, features)
        return outputs, {**self.decode(spec, outputs, features), **again}

    def predict_from_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The answers for rows of tokens without their text: here the model's outputs; the first axis is the rows.

        Args:
            spec, tokenizer, model: as elsewhere.
            inputs: `token_ids`, `segment_ids`, `padding_mask`.
        """
        outputs = self.call_model(model, inputs)
        return dict(outputs) if isinstance(outputs, Mapping) else {"logits": outputs}

    def objectives(self, spec: Spec, model: Any) -> dict[str, Any]:
        """The training objectives: those that the model declares, unless the options change them."""
        return model.objectives

    @abc.abstractmethod
    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, Any]:
        """Answers from the model's outputs; the keys are the exported signature's outputs, the first axis is the rows.

        Lists are padded along their second axis; a separate output tells how many entries of a row are valid.
        """

    def follow_up(self, spec: Spec, model: Any, outputs: Any, features: Features) -> dict[str, Any]:
        """Answers in addition to `decode` for which the model is called again, as by a beam search."""
        return {}

    def notes(self, spec: Spec, tokenizer: Any, examples: Examples) -> dict[str, Any]:
        """Facts about the training data for a run's results."""
        return {}

    def resolve_options(self, spec: Spec, results: Mapping[str, Any]) -> Spec:
        """The spec as a run stores it: open options are decided by `results` on held-out data, if there are any."""
        return spec

    @abc.abstractmethod
    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        """The official metrics by name; an undefined metric is `None`."""

    def tuned_option(self, spec: Spec) -> str:
        """The option, if any, that is tuned on the dev data with the best epoch's model; else `""`."""
        return ""

    def tuned(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> Spec:
        """The spec with the best value of that option for these answers; arguments as for `score`."""
        return spec

    def baselines(self, spec: Spec, train: Examples, dev: Examples) -> dict[str, dict[str, Any]]:
        """By baseline, the metrics on `dev` of simple answers that are learnt from `train` without a network."""
        return {}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        """One row of decoded outputs, JSON-serializable."""
        return dict(row)

    def candidates(self, answer: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """The candidates that the answer was chosen from, with probabilities; in groups, such as the gaps of a text.

        Empty if there are no candidates. The name of a single group is `""`.
        """
        return {}

    def chosen(self, answer: Mapping[str, Any]) -> Sequence[str] | None:
        """The candidates that the answer consists of; `None` if it is always the most probable one of each group."""
        return None

    def gold_of(self, spec: Spec, gold: Mapping[str, Any]) -> Any:
        """The gold answer of one row as files contain it, from a row of `Examples.gold`; here its only value."""
        (value,) = gold.values()
        return value

    def wrong_answer(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """What is wrong with an answer, if anything.

        Args:
            spec: of the model.
            line: a row's columns, its answer, and as `gold` what `gold_of` returned.
        """
        self.check_shows(errors=True, picture=False)
        return None

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown | None:
        """The errors over all lines, such as a confusion matrix, or `None`; each line is as for `wrong_answer`."""
        return None

    @property
    def has_candidates(self) -> bool:
        """Whether the task's answers have `candidates`."""
        return type(self).candidates is not Task.candidates

    def check_shows(self, errors: bool, picture: bool) -> None:
        """Raises `UserError` if a list of errors or a picture is requested and the task does not provide it."""
        if errors and type(self).wrong_answer is Task.wrong_answer:
            raise UserError(f"`errors`: the task {self.name} has no list of errors; leave it out")
        if picture and type(self).breakdown is Task.breakdown:
            raise UserError(f"`picture`: the task {self.name} has no picture; leave it out")
