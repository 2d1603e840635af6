"""The defaults of fine-tuning are among the values that the paper found to work (Devlin et al. 2019, appendix A.3)."""

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.search import PAPER_GRID
from keras_bert_scratch.training.options import TrainingOptions


def test_defaults_are_values_of_the_paper():
    how = kbs.FineTuning()
    options = how.training_options(steps_per_epoch=100)
    assert how.batch_size in PAPER_GRID["batch_size"]
    assert how.epochs in PAPER_GRID["epochs"]
    assert options.learning_rate in PAPER_GRID["learning_rate"]
    assert options.steps == 100 * how.epochs


def test_all_else_is_as_in_pretraining():
    """Except for batch size, learning rate and epochs: the same optimizer with the same settings."""
    pretraining = TrainingOptions(steps=300).optimizer_at(1e-4)
    fine_tuning = kbs.FineTuning().training_options(steps_per_epoch=100).optimizer_at(1e-4)
    assert type(fine_tuning) is type(pretraining) is kbs.BertAdamW
    assert fine_tuning.get_config() == pretraining.get_config()
