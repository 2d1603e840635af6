"""Models as files: our own form and other people's, in and out."""
