"""Text on its way in: files of any kind become blocks, and blocks become documents of sentences."""
