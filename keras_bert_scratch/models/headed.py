"""OnBackbone: what every model made of a backbone and a head has in common."""

from __future__ import annotations

from typing import Any, Self

from keras import ops

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.directory import SavedAsDirectory
from keras_bert_scratch.models.freezing import freeze, frozen_paths
from keras_bert_scratch.models.trainable import HasObjectives


class OnBackbone(HasObjectives, SavedAsDirectory):
    """How a model with a `backbone` describes itself and is made again; `head_arguments` names what else it takes."""

    head_arguments: tuple[str, ...] = ()
    backbone: BertBackbone
    name: str

    def count_tokens(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        padding_mask = ops.cast(ops.cast(inputs["padding_mask"], "bool"), "int32")
        return ops.sum(padding_mask), ops.size(padding_mask)

    @classmethod
    def check_pooler(cls, backbone: BertBackbone) -> None:
        """Raises `UserError` for a backbone without the pooled vector, which this head reads."""
        if backbone.pooler is None:
            raise UserError(
                f"backbone: has no pooler, which {cls.__name__} reads; make it with BertBackbone(config, pooler=True)"
            )

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.head_arguments}
        return {"backbone": self.backbone.get_config(), **own, "name": self.name, "frozen": frozen_paths(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        frozen = config.get("frozen", ())
        config = {name: value for name, value in config.items() if name != "frozen"}
        return freeze(cls(**{**config, "backbone": BertBackbone.from_config(config["backbone"])}), frozen)
