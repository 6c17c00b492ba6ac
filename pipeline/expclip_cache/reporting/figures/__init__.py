"""Figures of a study for a paper, drawn by matplotlib from the data of the page.

Each module has a pure function from numbers to a `Figure`; nothing here uses pyplot, so no display is needed.
"""
