"""The report page: results -> one self-contained HTML file."""

from pipeline.reporting.page.content import Page, SetSection, read_page
from pipeline.reporting.page.html import render_page

__all__ = ["Page", "SetSection", "read_page", "render_page"]
