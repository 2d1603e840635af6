"""JSON files of other programs: what becomes of each of their fields.

A field is obeyed, or refused by name unless it has a value that changes nothing here, or without effect on numbers.
One that no table knows is reported, since nobody can tell what it changes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_bert_scratch.errors import UserError

SHOWN = 3  # values in a message; docs/formats.md has all of them


class SettingRefused(UserError):  # noqa: N818 - a kind of UserError, which is an error by name
    """A setting of another program that this library cannot follow; the message names file, field and value."""


@dataclasses.dataclass(frozen=True)
class Fields:
    """What becomes of the fields of one kind of file.

    Args:
        obeyed: names of the fields that are read.
        refused: field to the values that change nothing here; any other value is refused. A field that is not in the
            file has none.
        without_effect: names of the fields that change no number of the model and no id of a text.

    Example:
        >>> fields = Fields(("hidden_size",), {"is_decoder": (False,)}, ("use_cache",))
        >>> fields.check(Path("config.json"), {"hidden_size": 8, "use_cache": True, "rope_theta": 1e4})
        ["config.json: the field 'rope_theta' is unknown and not obeyed; if it changes outputs, they will differ"]
        >>> fields.check(Path("config.json"), {"is_decoder": True})
        Traceback (most recent call last):
        ...
        keras_bert_scratch.json_fields.SettingRefused: config.json: is_decoder is true, and only false is supported;
        this model cannot be used here
    """

    obeyed: tuple[str, ...]
    refused: Mapping[str, tuple[Any, ...]]
    without_effect: tuple[str, ...]

    def check(self, file: Path | str, values: Mapping[str, Any], subject: str = "this model") -> list[str]:
        """Refuses what is to be refused; returns a note on the fields that are unknown, if there are any.

        Args:
            file: where the values come from, for messages.
            values: the file's fields.
            subject: what cannot be used, for errors.

        Raises:
            SettingRefused: a field has a value that is not supported, by name.
        """
        for name, allowed in self.refused.items():
            if name in values and not any(_equal(values[name], value) for value in allowed):
                shown = [json.dumps(value) for value in allowed if value is not None or len(allowed) == 1]
                supported = " or ".join(shown[:SHOWN]) + (f" or {len(shown) - SHOWN} others" * (len(shown) > SHOWN))
                raise SettingRefused(
                    f"{file}: {name} is {json.dumps(values[name])[:80]}, and only {supported} is supported; "
                    f"{subject} cannot be used here"
                )
        unknown = sorted(set(values) - {*self.obeyed, *self.refused, *self.without_effect})
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
