"""Models of the Hugging Face Hub, read by addresses such as `hf://google-bert/bert-base-uncased@main`."""
