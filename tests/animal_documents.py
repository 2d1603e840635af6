"""Text that we wrote: small documents about animals."""

import itertools
from pathlib import Path

ANIMALS = ("heron", "otter", "badger", "falcon", "lizard", "beaver", "weasel", "magpie")
PLACES = ("river", "meadow", "harbour", "orchard", "canyon", "quarry", "lagoon", "thicket")
DEEDS = ("watches", "crosses", "circles", "leaves", "guards", "explores", "remembers", "avoids")


def document(number: int) -> list[str]:
    """A document of a few sentences about one animal and one place, so that its sentences belong together."""
    animal, place = ANIMALS[number % 8], PLACES[(number // 8) % 8]
    deeds = itertools.islice(itertools.cycle(DEEDS), number, number + 6)
    return [f"Day {day}: the {animal} {deed} the old {place} before dawn." for day, deed in enumerate(deeds, 1)]


def write_corpus(documents: list[list[str]], path: Path) -> Path:
    """Writes the documents to a text file, separated by blank lines."""
    path.write_text("\n\n".join("\n".join(sentences) for sentences in documents))
    return path
