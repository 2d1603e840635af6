"""The GLUE benchmark: its tasks as data, their files, one run of each, and what is sent to its server."""
