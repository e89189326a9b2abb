"""Runs and writes the tables of the papers: one declaration per table, one runner for all."""

from suite.command import main
from suite.declaration import Plot, Row, Table

__all__ = ["Plot", "Row", "Table", "main"]
