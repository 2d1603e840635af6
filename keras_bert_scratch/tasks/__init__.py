"""Downstream tasks, one file each: its reader, its head, its metric."""
