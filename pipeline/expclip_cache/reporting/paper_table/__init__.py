"""A study in the layout of the field's published tables: systems by backbone, a column for each dataset."""
