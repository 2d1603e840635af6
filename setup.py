"""The entry that older tools look for; everything it could say stands in pyproject.toml."""

from setuptools import setup

setup()
