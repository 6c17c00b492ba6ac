"""The face renderer: person, expression and style -> pixels."""
