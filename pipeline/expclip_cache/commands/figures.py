"""`expclip-cache figures`."""


def figures() -> None:
    """Draw."""
