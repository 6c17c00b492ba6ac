"""Datasets on disk -> rows, one small reader for each layout. Labels go by name, nothing is decoded."""

from pipeline.datasets.listing import UNLABELLED, Listing, Row
from pipeline.datasets.read import read_rows
from pipeline.datasets.roots import resolve_root

__all__ = ["UNLABELLED", "Listing", "Row", "read_rows", "resolve_root"]
