"""BERT from scratch in TensorFlow and Keras 3: text in, served model out.

Names are imported on first use, so that `import keras_bert_scratch` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_bert_scratch import version

__version__ = version.VERSION

if TYPE_CHECKING:
    from keras_bert_scratch.attention.maps import attention_maps as attention_maps
    from keras_bert_scratch.config import BertConfig as BertConfig
    from keras_bert_scratch.data.corpus.form import CorpusForm as CorpusForm
    from keras_bert_scratch.data.corpus.sources import read_documents as read_documents
    from keras_bert_scratch.data.google.reader import open_records as open_records
    from keras_bert_scratch.data.pretraining.masking import MaskingRule as MaskingRule
    from keras_bert_scratch.data.pretraining.reader import PretrainingRecords as PretrainingRecords
    from keras_bert_scratch.data.pretraining.rules import ExampleRules as ExampleRules
    from keras_bert_scratch.data.records.build import build_records as build_records
    from keras_bert_scratch.errors import UserError as UserError
    from keras_bert_scratch.models.backbone import BertBackbone as BertBackbone
    from keras_bert_scratch.models.causal_lm import BertCausalLM as BertCausalLM
    from keras_bert_scratch.models.masked_lm import BertMaskedLM as BertMaskedLM
    from keras_bert_scratch.models.multiple_choice import BertMultipleChoice as BertMultipleChoice
    from keras_bert_scratch.models.next_sentence_predictor import BertNextSentencePredictor as BertNextSentencePredictor
    from keras_bert_scratch.models.pretrainer import BertPretrainer as BertPretrainer
    from keras_bert_scratch.models.question_answerer import BertQuestionAnswerer as BertQuestionAnswerer
    from keras_bert_scratch.models.text_classifier import BertTextClassifier as BertTextClassifier
    from keras_bert_scratch.models.text_embedder import BertTextEmbedder as BertTextEmbedder
    from keras_bert_scratch.models.token_classifier import BertTokenClassifier as BertTokenClassifier
    from keras_bert_scratch.models.translator import BertTranslator as BertTranslator
    from keras_bert_scratch.serving.export import export_saved_model as export_saved_model
    from keras_bert_scratch.serving.inference import evaluate as evaluate
    from keras_bert_scratch.serving.inference import predict as predict
    from keras_bert_scratch.serving.search import search as search
    from keras_bert_scratch.tasks.data.batches import TaskData as TaskData
    from keras_bert_scratch.tasks.distillation import distill as distill
    from keras_bert_scratch.tasks.distilled import Distillation as Distillation
    from keras_bert_scratch.tasks.fine_tuned import FineTuned as FineTuned
    from keras_bert_scratch.tasks.fine_tuning import FineTuning as FineTuning
    from keras_bert_scratch.tasks.glue.benchmark import glue as glue
    from keras_bert_scratch.tasks.registry import get_task as get_task
    from keras_bert_scratch.tasks.run import finetune as finetune
    from keras_bert_scratch.tasks.spec import Spec as Spec
    from keras_bert_scratch.text.packing import pack_segments as pack_segments
    from keras_bert_scratch.text.tokenizer import BertTokenizer as BertTokenizer
    from keras_bert_scratch.text.vocabulary import Vocabulary as Vocabulary
    from keras_bert_scratch.text.vocabulary_learning import learn_vocabulary as learn_vocabulary
    from keras_bert_scratch.training.curves import plot_curves as plot_curves
    from keras_bert_scratch.training.lamb import Lamb as Lamb
    from keras_bert_scratch.training.optimizers import BertAdamW as BertAdamW
    from keras_bert_scratch.training.options import RunOptions as RunOptions
    from keras_bert_scratch.training.options import TrainingOptions as TrainingOptions
    from keras_bert_scratch.training.pretraining import SecondPhase as SecondPhase
    from keras_bert_scratch.training.pretraining import pretrain as pretrain
    from keras_bert_scratch.training.schedules import LinearWarmupDecay as LinearWarmupDecay
    from keras_bert_scratch.training.strategies import distributed as distributed
    from keras_bert_scratch.training.strategies import make_strategy as make_strategy

_MODULES = {
    "BertAdamW": "training.optimizers",
    "BertBackbone": "models.backbone",
    "BertConfig": "config",
    "BertCausalLM": "models.causal_lm",
    "BertMaskedLM": "models.masked_lm",
    "BertMultipleChoice": "models.multiple_choice",
    "BertNextSentencePredictor": "models.next_sentence_predictor",
    "BertPretrainer": "models.pretrainer",
    "BertQuestionAnswerer": "models.question_answerer",
    "BertTextClassifier": "models.text_classifier",
    "BertTextEmbedder": "models.text_embedder",
    "BertTokenClassifier": "models.token_classifier",
    "BertTokenizer": "text.tokenizer",
    "BertTranslator": "models.translator",
    "CorpusForm": "data.corpus.form",
    "Distillation": "tasks.distilled",
    "ExampleRules": "data.pretraining.rules",
    "FineTuned": "tasks.fine_tuned",
    "FineTuning": "tasks.fine_tuning",
    "Lamb": "training.lamb",
    "LinearWarmupDecay": "training.schedules",
    "MaskingRule": "data.pretraining.masking",
    "PretrainingRecords": "data.pretraining.reader",
    "RunOptions": "training.options",
    "SecondPhase": "training.pretraining",
    "Spec": "tasks.spec",
    "TaskData": "tasks.data.batches",
    "TrainingOptions": "training.options",
    "UserError": "errors",
    "Vocabulary": "text.vocabulary",
    "attention_maps": "attention.maps",
    "build_records": "data.records.build",
    "distill": "tasks.distillation",
    "distributed": "training.strategies",
    "evaluate": "serving.inference",
    "export_saved_model": "serving.export",
    "finetune": "tasks.run",
    "get_task": "tasks.registry",
    "glue": "tasks.glue.benchmark",
    "learn_vocabulary": "text.vocabulary_learning",
    "make_strategy": "training.strategies",
    "open_records": "data.google.reader",
    "pack_segments": "text.packing",
    "plot_curves": "training.curves",
    "predict": "serving.inference",
    "pretrain": "training.pretraining",
    "read_documents": "data.corpus.sources",
    "search": "serving.search",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
