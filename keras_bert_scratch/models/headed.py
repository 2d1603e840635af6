"""OnBackbone: what every model made of a backbone and a head has in common."""

from __future__ import annotations

from typing import Any, Self

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.directory import SavedAsDirectory
from keras_bert_scratch.models.objectives import HasObjectives


class OnBackbone(HasObjectives, SavedAsDirectory):
    """How a model with a `backbone` describes itself and is made again; `head_arguments` names what else it takes."""

    head_arguments: tuple[str, ...] = ()
    backbone: BertBackbone
    name: str

    @classmethod
    def check_pooler(cls, backbone: BertBackbone) -> None:
        """Raises `UserError` for a backbone without the pooled vector, which this head reads."""
        if backbone.pooler is None:
            raise UserError(
                f"backbone: has no pooler, which {cls.__name__} reads; make it with BertBackbone(config, pooler=True)"
            )

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.head_arguments}
        return {"backbone": self.backbone.get_config(), **own, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        return cls(**{**config, "backbone": BertBackbone.from_config(config["backbone"])})
