"""NamedInputs: lets a model select its inputs from a dict by name, and reports missing and impossible ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.arrays import check_positions


class NamedInputs:
    """A functional model with a dict of inputs; a batch may hold more inputs than the model reads.

    Keras assigns the values of a dict to inputs in the order of their names: an additional one, such as the
    `example_ids` of packed rows, would shift every input after it by one position.
    """

    input: dict[str, Any]

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        check_positions(x, self.input)
        return super().fit(x, *args, **kwargs)  # type: ignore[misc]

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        check_positions(x, self.input)
        return super().evaluate(x, *args, **kwargs)  # type: ignore[misc]

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        check_positions(x, self.input)
        return super().predict(x, *args, **kwargs)  # type: ignore[misc]

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        check_positions(inputs, self.input)
        return super().__call__(self.named_inputs(inputs), *args, **kwargs)  # type: ignore[misc]

    def call(self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        # Keras's trainer on JAX calls this directly, not `__call__`; no layer here uses Keras's masks.
        return super().call(self.named_inputs(inputs), training, **kwargs)  # type: ignore[misc]

    def named_inputs(self, inputs: Any) -> dict[str, Any]:
        """Selects the model's inputs from those given.

        Raises:
            UserError: they are not a dict, or one is missing or ragged.
        """
        names = ", ".join(self.input)
        if not isinstance(inputs, Mapping):
            raise UserError(f"`x`: must be a dict of {names}, not {type(inputs).__name__}")
        if missing := [name for name in self.input if inputs.get(name) is None]:
            raise UserError(f"`x`: has no {', '.join(missing)}; the model needs {names}, but got {', '.join(inputs)}")
        if ragged := [name for name in self.input if getattr(inputs[name], "ragged_rank", None)]:
            raise UserError(f"`x`: {ragged[0]} is ragged; pad it with `to_tensor()`, and mark tokens in padding_mask")
        return {name: inputs[name] for name in self.input}
