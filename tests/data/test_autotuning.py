"""No dataset that a training reads is autotuned: the end of the training would wait for the thread that tunes."""

import keras_bert_scratch as kbs


def test_no_dataset_is_autotuned(records, tokenizer):
    table = {"text": ["a heron", "an otter"] * 4, "label": ["heron", "otter"] * 4}
    task = kbs.TaskData.read("classification", table, tokenizer, max_length=16)
    batches = kbs.PretrainingRecords(records).batches(4, 32)
    for dataset in (batches, batches.take(2), task.training_batches(4), task.evaluation_batches(4)):
        assert dataset.options().autotune.enabled is False
