"""The GLUE benchmark: definitions of its tasks, their files, a run per task, and the submission to its server."""
