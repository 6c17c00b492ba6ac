"""Results for people: tables, the comparison with published figures, the page."""
