"""Reading text: files of any kind become blocks, and blocks become documents of sentences."""
