"""Task: what one file per task implements."""

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
    """Of a task that has no options."""


class Task(abc.ABC):
    """One downstream task: its reader, its features, its head, its answers, its metrics. Holds no state.

    `features`, `targets` and `decode` run inside TensorFlow graphs: in the input pipeline, in `predict` and in the
    exported signature alike.
    """

    name: ClassVar[str]
    best_by: ClassVar[tuple[str, str]]  # the metric that picks the best epoch, and "max" or "min"
    model_class: ClassVar[type]
    Options: ClassVar[type] = NoOptions  # a dataclass; its fields become flags of `keras-bert finetune`
    Asking: ClassVar[type] = NoOptions  # the same of `predict` and `export`; they may be others each time
    tunable: ClassVar[bool] = True  # whether `finetune` teaches it
    learns_vocabulary: ClassVar[bool] = (
        False  # whether it can start from nothing, with a vocabulary of its training data
    )
    columns: ClassVar[tuple[str, ...]] = ("text",)  # of a model that does not tell what it was trained on
    list_columns: ClassVar[tuple[str, ...]] = ()  # columns that have a list of strings in each row
    outputs: ClassVar[Mapping[str, str]]  # of the exported signatures: by name what it is, for the model's card
    # Which method of TensorFlow Serving's API beside `predict` answers: `classify`, by labels and scores, or `regress`.
    method: ClassVar[str] = ""
    carried: ClassVar[tuple[str, ...]] = ()  # columns that only go along to the answers of `predict`
    one_candidate_is_right: ClassVar[bool] = True  # else each of the `candidates` is given or not by itself
    # Whether the model reads what is right, too, when it learns or its loss is told, but not when it answers.
    teacher_forced: ClassVar[bool] = False

    @abc.abstractmethod
    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        """Reads labelled rows.

        Args:
            source: a table's path, or columns in memory by name.
            spec: without columns for training data, which then decide columns and labels; else both are required.
            on_bad_row: `"fail"`, or `"skip"` and count.

        Returns: the spec, completed, and the examples.
        """

    @abc.abstractmethod
    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        """Yields the rows of a table without labels, for `predict`, in flat memory."""

    def forms(self, spec: Spec) -> tuple[tuple[str, ...], ...]:
        """The sets of columns that the model can be asked by, `spec.columns` first; each becomes a signature."""
        return ((*spec.columns, *self.optional_columns(spec)),)

    def optional_columns(self, spec: Spec) -> tuple[str, ...]:
        """Columns of strings that may be left out, empty then; the exported signature takes them beside the spec's."""
        return ()

    def sample(self, columns: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
        """A row to try a model with: all the words in the first column, where the longest texts are, one in others."""
        row: dict[str, Any] = {}
        for column in columns:
            some = words if column == columns[0] else words[:1]
            row[column] = list(some) if column in self.list_columns else " ".join(some)
        return row

    def is_windowed(self, spec: Spec) -> bool:
        """Whether a row that is too long is read in several windows."""
        return False

    def rows_at_once(self, spec: Spec, model: Any) -> int | None:
        """How many rows of a stream may be answered together, where answers are long; `None` for any number."""
        return None

    def batch_size(self, spec: Spec, model: Any) -> int | None:
        """How many rows to ask about together, where answers take many steps; `None` for as many as usual."""
        return None

    def check_columns(self, spec: Spec, raw: Raw) -> None:
        """Raises `UserError` unless these are the columns that the model can be asked about."""
        spec.check_columns(raw)

    def fault(self, row: Mapping[str, Any]) -> BadRow | None:
        """What is wrong with a row that the model is asked about, if anything."""
        return None

    def command(self, init: AnyPath | str) -> str:
        """What teaches the model in the folder `init` this task."""
        return f"keras-bert finetune --task {self.name} --init {init}"

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        """What a model is for that came without `task.json`, as other people's do.

        Raises:
            UserError: it has no head for this task.
        """
        if checkpoint.architecture != self.model_class.__name__:
            raise UserError(
                f"{directory}: holds a {checkpoint.architecture}, which has no head for {self.name}; make one with "
                f"'{self.command(directory)}'"
            )
        options = {**as_json(self.Options()), **as_json(self.Asking())}
        return Spec(self.name, self.columns, checkpoint.config.max_position_embeddings, options=options)

    @abc.abstractmethod
    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        """What the model reads of some rows, no longer than the longest window needs.

        Args:
            spec, tokenizer: of the model.
            raw: string tensors `(rows,)` by column; a column of lists is ragged, `(rows, None)`.
            chosen: int32 `(rows,)`, default `None`. The number of one window of each row, in place of all; training
                draws them one by one. Rows that are not read in windows have just one.
        """

    def teach(self, spec: Spec, features: Features, gold: Mapping[str, Any]) -> Features:
        """The features of a task that is `teacher_forced`, with what the model reads of what is right."""
        return features

    @abc.abstractmethod
    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        """Labels and sample weights (or `None`) of the windows, as the model's `fit` takes them.

        `training` tells whether they are to learn from, or to measure with.
        """

    def tokenizer(self, spec: Spec, init: Any, examples: Examples) -> BertTokenizer:
        """The tokenizer of a new run.

        Args:
            spec: of the run; its options may say more.
            init: path of the model's folder that it starts from, or a BertConfig.
            examples: to learn a vocabulary from, where a task does that.

        Raises:
            UserError: there is no vocabulary to start with.
        """
        if isinstance(init, BertConfig):
            raise UserError("`tokenizer`: give it with a BertConfig")
        return BertTokenizer.load(init)

    @abc.abstractmethod
    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        """What `model_class` takes beside a backbone."""

    def new_model(self, spec: Spec, init: Any, tokenizer: BertTokenizer, dtype: str, remat: bool) -> Any:
        """The model that a run starts with; `init` as for `tokenizer`."""
        return self.started(init, dtype, remat, **self.model_arguments(spec))

    def started(self, init: Any, dtype: str, remat: bool, **arguments: Any) -> Any:
        """A `model_class` with the weights of the folder `init`, or with random ones of a BertConfig's sizes."""
        if isinstance(init, BertConfig):
            return self.model_class(BertBackbone(init, dtype=dtype, remat=remat), **arguments)
        return self.model_class.from_pretrained(init, dtype=dtype, remat=remat, **arguments)

    def answering(self, model: Any) -> Any:
        """The model that answers, of the one that is trained; they may differ, as a student and what it learns with."""
        return model

    def learnt_positions(self, features: Features) -> Any:
        """Of a model of tokens those that are learnt, float32 `(windows, length)`; here all but padding."""
        return tf.cast(features.inputs["padding_mask"], tf.float32)

    def ask(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """The model's outputs for some windows."""
        return model(inputs, training=False)

    def asked(self, spec: Spec, model: Any, features: Features) -> tuple[Any, dict[str, Any]]:
        """The model's outputs for some rows, and what they mean."""
        outputs = self.ask(model, features.inputs)
        again = self.follow_up(spec, model, outputs, features)
        return outputs, {**self.decode(spec, outputs, features), **again}

    def asked_by_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What a model tells about rows of tokens whose text is not known: here its outputs, the rows first in each.

        Args:
            spec, tokenizer, model: as elsewhere.
            inputs: `token_ids`, `segment_ids`, `padding_mask`.
        """
        outputs = self.ask(model, inputs)
        return dict(outputs) if isinstance(outputs, Mapping) else {"logits": outputs}

    def objectives(self, spec: Spec, model: Any) -> dict[str, Any]:
        """What the model is trained on: what it declares itself, unless the options say more."""
        return model.objectives

    @abc.abstractmethod
    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, Any]:
        """Answers from the model's outputs; the keys are the outputs of the exported signature, rows come first.

        Lists are padded along their second axis; a number tells how many of a row count.
        """

    def follow_up(self, spec: Spec, model: Any, outputs: Any, features: Features) -> dict[str, Any]:
        """Answers beside those of `decode` for which the model is asked again, as a beam search does."""
        return {}

    def notes(self, spec: Spec, tokenizer: Any, examples: Examples) -> dict[str, Any]:
        """What a run's results tell about its training data."""
        return {}

    def settled(self, spec: Spec, results: Mapping[str, Any]) -> Spec:
        """The spec as a run stores it: options that were left open, decided by `results` of held-out data, if any."""
        return spec

    @abc.abstractmethod
    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        """The official metrics by plain names; one that is undefined is `None`."""

    def tunes(self, spec: Spec) -> str:
        """The option, if any, whose value is to be found on the dev data with the best epoch's model; else `""`."""
        return ""

    def tuned(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> Spec:
        """The spec with the value of that option that is best for these answers; arguments as for `score`."""
        return spec

    def baselines(self, spec: Spec, train: Examples, dev: Examples) -> dict[str, dict[str, Any]]:
        """The metrics on `dev`, by name, of simple answers that are learnt from `train` without a network."""
        return {}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        """One row of decoded outputs as JSON can hold it."""
        return dict(row)

    def candidates(self, answer: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """What the answer was chosen among, with probabilities; in groups, such as the gaps of a text.

        Empty where there are no such things. A single group needs no name: `""`.
        """
        return {}

    def gold_of(self, spec: Spec, gold: Mapping[str, Any]) -> Any:
        """What is right for one row as the files write it, of a row of `Examples.gold`; here its only value."""
        (value,) = gold.values()
        return value

    def wrong(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """What is wrong with an answer, if anything.

        Args:
            spec: of the model.
            line: a row's columns, its answer, and as `gold` what `gold_of` gave.
        """
        self.check_shows(errors=True, picture=False)
        return None

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown | None:
        """What was taken for what over all lines, each as for `wrong`; `None` where there is no such table."""
        return None

    @property
    def has_candidates(self) -> bool:
        """Whether there are `candidates` of its answers."""
        return type(self).candidates is not Task.candidates

    def check_shows(self, errors: bool, picture: bool) -> None:
        """Raises `UserError` if the task has no list of errors, or no `breakdown` to draw, and one is asked for."""
        if errors and type(self).wrong is Task.wrong:
            raise UserError(f"`errors`: the task {self.name} has no list of them; leave it out")
        if picture and type(self).breakdown is Task.breakdown:
            raise UserError(f"`picture`: the task {self.name} has none; leave it out")
