"""Pair classification: one label for how two texts relate, such as entailment (Devlin et al. 2019, section 4.1)."""

from __future__ import annotations

from keras_bert_scratch.tasks.classification import Classification

# The task `classification` also reads pairs if the table has them; this task requires them.
TASK = Classification("pair-classification", columns=("text", "text_pair"))
