"""Configured: Keras serialization of layers that are constructed from a `BertConfig`."""

from __future__ import annotations

from typing import Any, Self

from keras_bert_scratch.config import BertConfig


class Configured:
    """`get_config` and `from_config` for a layer whose constructor takes `config` and stores it as `self.config`."""

    config: BertConfig

    def get_config(self) -> dict[str, Any]:
        layer: Any = super()
        return {**layer.get_config(), "config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "config": BertConfig.from_dict(config["config"])})
