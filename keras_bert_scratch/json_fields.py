"""JSON files of other programs: how each of their fields is handled.

A field is obeyed, or has no effect on any number, or is refused by name unless its value changes nothing here.
A field that no table lists is reported, since its effect is unknown.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_bert_scratch.errors import UserError

SHOWN = 3  # values in a message; docs/formats.md has all of them


class UnsupportedSettingError(UserError):
    """A setting of another program that this library does not support; the message names file, field and value."""


@dataclasses.dataclass(frozen=True)
class Fields:
    """How the fields of one kind of file are handled.

    Args:
        obeyed: names of the fields that are read.
        allowed_values: maps each field to the values that change nothing here; any other value is refused. A field
            that is missing in the file is not refused.
        without_effect: names of the fields that change neither a number of the model nor a token id of a text.

    Example:
        >>> fields = Fields(("hidden_size",), {"is_decoder": (False,)}, ("use_cache",))
        >>> fields.check(Path("config.json"), {"hidden_size": 8, "use_cache": True, "rope_theta": 1e4})
        ["config.json: the field 'rope_theta' is unknown and not obeyed; if it changes outputs, they will differ"]
        >>> fields.check(Path("config.json"), {"is_decoder": True})
        Traceback (most recent call last):
        ...
        keras_bert_scratch.json_fields.UnsupportedSettingError: config.json: is_decoder is true, and only false is
        supported; this model cannot be used here
    """

    obeyed: tuple[str, ...]
    allowed_values: Mapping[str, tuple[Any, ...]]
    without_effect: tuple[str, ...]

    def check(self, file: Path | str, values: Mapping[str, Any], subject: str = "this model") -> list[str]:
        """Raises for a refused value; returns a list with a note on the unknown fields, if there are any.

        Args:
            file: where the values come from, for messages.
            values: the file's fields.
            subject: what cannot be used then, for the error message.

        Raises:
            UnsupportedSettingError: a field has a value that is not supported; the message names both.
        """
        for name, allowed in self.allowed_values.items():
            if name in values and not any(_equal(values[name], value) for value in allowed):
                shown = [json.dumps(value) for value in allowed if value is not None or len(allowed) == 1]
                supported = " or ".join(shown[:SHOWN]) + (f" or {len(shown) - SHOWN} others" * (len(shown) > SHOWN))
                raise UnsupportedSettingError(
                    f"{file}: {name} is {json.dumps(values[name])[:80]}, and only {supported} is supported; "
                    f"{subject} cannot be used here"
                )
        unknown = sorted(set(values) - {*self.obeyed, *self.allowed_values, *self.without_effect})
        if not unknown:
            return []
        names = ", ".join(map(repr, unknown))
        several = len(unknown) > 1
        return [
            f"{file}: the field{'s' * several} {names} {'are' if several else 'is'} unknown and not obeyed; if "
            f"{'they change' if several else 'it changes'} outputs, they will differ"
        ]


def _equal(one: Any, other: Any) -> bool:
    """Equality in JSON, where 0 is not false."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other
