"""NamedInputs: a model whose inputs are a dict takes those that it has by name, and says which one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_bert_scratch.errors import UserError


class NamedInputs:
    """A functional model with a dict of inputs, to which a batch may bring more than the model reads.

    Keras takes the values of a dict in the order of their names: one more, such as the `example_ids` of packed rows,
    would put every input behind it in the next one's position.
    """

    input: dict[str, Any]

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(self.named_inputs(inputs), *args, **kwargs)  # type: ignore[misc]

    def call(self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        # Keras's trainer on JAX comes here, past `__call__`; no layer here takes masks from Keras.
        return super().call(self.named_inputs(inputs), training, **kwargs)  # type: ignore[misc]

    def named_inputs(self, inputs: Any) -> dict[str, Any]:
        """The model's inputs out of those given.

        Raises:
            UserError: they are no dict, or one is missing or ragged.
        """
        names = ", ".join(self.input)
        if not isinstance(inputs, Mapping):
            raise UserError(f"`x`: must be a dict of {names}, not {type(inputs).__name__}")
        if missing := [name for name in self.input if inputs.get(name) is None]:
            raise UserError(f"`x`: has no {', '.join(missing)}; the model takes {names}, and got {', '.join(inputs)}")
        if ragged := [name for name in self.input if getattr(inputs[name], "ragged_rank", None)]:
            raise UserError(f"`x`: {ragged[0]} is ragged; pad it by `to_tensor()`, and mark tokens in padding_mask")
        return {name: inputs[name] for name in self.input}
