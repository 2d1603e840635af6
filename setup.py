"""Entry point for older build tools; all metadata is in pyproject.toml."""

from setuptools import setup

setup()
