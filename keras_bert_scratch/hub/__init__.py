"""Reading models of the Hugging Face Hub by addresses such as `hf://google-bert/bert-base-uncased@main`."""
