"""All fields of other libraries' config files, and how each is handled. `docs/formats.md` has the same tables."""

from __future__ import annotations

from keras_bert_scratch.json_fields import Fields

# Fields that Google's `bert_config.json` and Hugging Face's `config.json` share.
SHARED = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings", "type_vocab_size"),
    *("initializer_range", "layer_norm_eps"),
)
# In the configs of Google's multilingual and Chinese models; no code reads them.
POOLER_NOTES = (
    *("directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers"),
    *("pooler_size_per_head", "pooler_type"),
)

GOOGLE_CONFIG = Fields(obeyed=SHARED, allowed_values={}, without_effect=POOLER_NOTES)
MODEL_GARDEN_CONFIG = Fields(
    obeyed=SHARED, allowed_values={"embedding_size": (None,)}, without_effect=("backward_compatible", *POOLER_NOTES)
)

HUGGING_FACE_CONFIG = Fields(
    obeyed=(
        *SHARED,
        *("architectures", "classifier_dropout", "problem_type", "id2label", "label2id", "is_decoder"),
    ),
    allowed_values={
        "model_type": ("bert",),
        "position_embedding_type": ("absolute", None),
        "is_encoder_decoder": (False, None),
        "add_cross_attention": (False, None),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
        "adapters": ({}, None),
    },
    without_effect=(
        # About the file and the program that wrote it.
        *("_name_or_path", "name_or_path", "transformers_version", "finetuning_task", "tokenizer_class", "prefix"),
        *("task_specific_params", "auto_map", "_commit_hash", "_num_labels", "_attn_implementation_autoset"),
        # The number of classes is read from the head's tensor.
        "num_labels",
        # Weights of any stored dtype become float32; whether the output matrix is tied is read from the tensors.
        *("torch_dtype", "dtype", "use_bfloat16", "tie_word_embeddings", "tie_encoder_decoder"),
        # How a program runs the model, and what it returns.
        *("gradient_checkpointing", "attn_implementation", "_attn_implementation", "chunk_size_feed_forward"),
        *("output_attentions", "output_hidden_states", "output_past", "return_dict", "torchscript", "tf_legacy_loss"),
        *("use_cache", "cross_attention_hidden_size"),
        # Ids of special tokens; the ids in the vocabulary are used instead.
        *("pad_token_id", "bos_token_id", "eos_token_id", "eos_token_ids", "sep_token_id", "decoder_start_token_id"),
        # How text is generated.
        *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "temperature"),
        *("diversity_penalty", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty"),
        *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences"),
        *("output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id"),
        *("remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens"),
        *POOLER_NOTES,
    ),
)

# For an encoder with a decoder; generation follows the options of the task.
HUGGING_FACE_TRANSLATOR_CONFIG = Fields(
    obeyed=("architectures", "encoder", "decoder"),
    allowed_values={"model_type": ("encoder-decoder",), "is_encoder_decoder": (True, None)},
    without_effect=HUGGING_FACE_CONFIG.without_effect,
)

# KerasHub's `config.json`: a serialized Keras object, and its `config`.
KERAS_OBJECT = Fields(
    obeyed=("config",),
    allowed_values={"class_name": ("BertBackbone",)},
    without_effect=("module", "registered_name", "build_config", "compile_config"),
)
KERAS_HUB_CONFIG = Fields(
    obeyed=(
        *("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim", "dropout"),
        *("max_sequence_length", "num_segments"),
    ),
    allowed_values={},
    without_effect=("name", "trainable", "dtype"),
)

# Files of sentence-transformers: for its modules Transformer, Pooling and Normalize, and for the whole model.
TRANSFORMER_CONFIG = Fields(
    obeyed=("max_seq_length", "do_lower_case"),
    allowed_values={
        "transformer_task": ("feature-extraction",),
        "modality_config": ({"text": {"method": "forward", "method_output_name": "last_hidden_state"}},),
        "module_output_name": ("token_embeddings",),
        "processing_kwargs": (None, {}),
        "query_length": (None,),
        "document_length": (None,),
        "query_expansion": (None,),
    },
    without_effect=("unpad_inputs",),
)
POOLING_CONFIG = Fields(
    obeyed=("pooling_mode", "pooling_mode_mean_tokens", "pooling_mode_cls_token", "pooling_mode_max_tokens"),
    allowed_values={
        "pooling_mode_mean_sqrt_len_tokens": (False,),
        "pooling_mode_weightedmean_tokens": (False,),
        "pooling_mode_lasttoken": (False,),
    },
    # The size is read from the model; without a prompt, `include_prompt` has no effect.
    without_effect=("word_embedding_dimension", "embedding_dimension", "include_prompt"),
)
NORMALIZE_CONFIG = Fields(
    obeyed=(),
    allowed_values={"module_input_name": ("sentence_embedding",), "module_output_name": ("sentence_embedding", None)},
    without_effect=(),
)
PROMPTS_CONFIG = Fields(
    obeyed=(),
    allowed_values={"default_prompt_name": (None,)},
    without_effect=("__version__", "model_type", "prompts", "similarity_fn_name"),
)
