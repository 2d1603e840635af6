"""Every field of other libraries' tokenizer files, and how it is handled. `docs/formats.md` has the same tables."""

from __future__ import annotations

from keras_bert_scratch.json_fields import Fields
from keras_bert_scratch.text.vocabulary import CLS, MASK, PAD, SEP, UNK

SUBJECT = "the tokenizer"  # of these files' settings, in messages
SPECIAL = {
    "unk_token": (UNK,),
    "sep_token": (SEP,),
    "pad_token": (PAD,),
    "cls_token": (CLS,),
    "mask_token": (MASK,),
}
# These split words as BERT's does, slow or fast; the generic classes are described by `tokenizer.json`.
GENERIC_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
DISTILBERT_CLASSES = ("DistilBertTokenizer", "DistilBertTokenizerFast")
# Without `model_input_names`, these give the model no segments.
CLASSES_WITHOUT_SEGMENTS = (*DISTILBERT_CLASSES, "TokenizersBackend")
TOKENIZER_CLASSES = (
    None,
    *("BertTokenizer", "BertTokenizerFast", *GENERIC_CLASSES, *DISTILBERT_CLASSES),
    *("ElectraTokenizer", "ElectraTokenizerFast", "MobileBertTokenizer", "MobileBertTokenizerFast"),
)
OTHER_SPECIAL_TOKENS = ("additional_special_tokens", "extra_special_tokens", "bos_token", "eos_token")

# `tokenizer_config.json`, Hugging Face's and ours ("lowercase", "max_word_length").
TOKENIZER_CONFIG = Fields(
    obeyed=(
        *("do_lower_case", "strip_accents", "tokenize_chinese_chars", "added_tokens_decoder"),
        "model_input_names",
        *("lowercase", "max_word_length"),
    ),
    allowed_values={
        **SPECIAL,
        "tokenizer_class": TOKENIZER_CLASSES,
        "do_basic_tokenize": (True,),
        "never_split": (None, []),
        "clean_text": (True,),
        "wordpieces_prefix": ("##",),
        "padding_side": ("right",),
        "truncation_side": ("right",),
    },
    without_effect=(
        *OTHER_SPECIAL_TOKENS,
        *("model_max_length", "max_len", "max_length", "stride", "truncation_strategy", "truncation", "padding"),
        *("pad_to_multiple_of", "pad_token_type_id", "clean_up_tokenization_spaces"),
        *("name_or_path", "special_tokens_map_file", "tokenizer_file", "full_tokenizer_file", "vocab_file"),
        *("init_inputs", "backend", "is_local", "local_files_only", "from_slow", "use_fast", "processor_class"),
        *("split_special_tokens", "chat_template", "verbose", "auto_map", "device_map", "torch_dtype"),
    ),
)
SPECIAL_TOKENS_MAP = Fields(obeyed=(), allowed_values=SPECIAL, without_effect=OTHER_SPECIAL_TOKENS)

# `tokenizer.json` of Hugging Face and its parts.
TOKENIZER_JSON = Fields(
    obeyed=("model", "added_tokens", "normalizer", "pre_tokenizer", "post_processor"),
    allowed_values={},
    without_effect=("version", "truncation", "padding", "decoder"),
)
WORDPIECE = Fields(
    obeyed=("vocab", "max_input_chars_per_word"),
    allowed_values={"type": ("WordPiece",), "unk_token": (UNK,), "continuing_subword_prefix": ("##",)},
    without_effect=(),
)
NORMALIZER = Fields(
    obeyed=("lowercase", "strip_accents", "handle_chinese_chars"),
    allowed_values={"type": ("BertNormalizer",), "clean_text": (True,)},
    without_effect=(),
)
PRE_TOKENIZER = Fields(obeyed=(), allowed_values={"type": ("BertPreTokenizer",)}, without_effect=())


def _step(kind: str, token: str, segment: int) -> dict[str, dict[str, object]]:
    return {kind: {"id": token, "type_id": segment}}


_FIRST = [_step("SpecialToken", CLS, 0), _step("Sequence", "A", 0), _step("SpecialToken", SEP, 0)]
_SECOND = [_step("Sequence", "B", 1), _step("SpecialToken", SEP, 1)]
POST_PROCESSOR = Fields(
    obeyed=(),
    allowed_values={"type": ("TemplateProcessing", "BertProcessing"), "single": (_FIRST,), "pair": (_FIRST + _SECOND,)},
    without_effect=("special_tokens", "sep", "cls"),
)

# `tokenizer.json` of KerasHub: a serialized Keras object, and its `config`.
KERAS_OBJECT = Fields(
    obeyed=("config",),
    allowed_values={"class_name": ("BertTokenizer",)},
    without_effect=("module", "registered_name", "build_config", "compile_config"),
)
KERAS_TOKENIZER = Fields(
    obeyed=("lowercase", "strip_accents"),
    allowed_values={
        "split": (True,),
        "split_on_cjk": (True,),
        "suffix_indicator": ("##",),
        "oov_token": (UNK,),
        "special_tokens_in_strings": (False,),
        "vocabulary": (None,),
    },
    without_effect=("name", "trainable", "dtype", "config_file", "sequence_length", "special_tokens"),
)
