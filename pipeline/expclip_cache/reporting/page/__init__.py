"""The report page: results -> one self-contained HTML file."""
