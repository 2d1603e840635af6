"""Pair classification: one label for how two texts relate, such as entailment (Devlin et al. 2019, section 4.1)."""

from __future__ import annotations

from keras_bert_scratch.tasks.classification import Classification

# Classification reads pairs as well where a table has them; this task insists on them.
TASK = Classification("pair-classification", columns=("text", "text_pair"))
