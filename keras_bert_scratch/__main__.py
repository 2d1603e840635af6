"""`python -m keras_bert_scratch`: the same as `keras-bert`."""

from keras_bert_scratch.commands.main import main

main()
