"""The face renderer: identity, expression and style -> pixels."""
