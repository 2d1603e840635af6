"""Downstream tasks, one file each: reader, head and metrics."""
