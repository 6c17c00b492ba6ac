"""Plain text in LaTeX."""

_SPECIAL = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "†": r"$^{\dagger}$",
    "±": r"$\pm$",
}


def latex_text(text: str) -> str:
    r"""Text as LaTeX sets it, character for character.

    >>> latex_text("my_set & 95 %, a--b")
    'my\\_set \\& 95~\\%, a-{}-b'
    """
    text = "".join(_SPECIAL.get(mark, mark) for mark in text)
    # Two hyphens would become a dash, and a number would stand on another line than its sign of percent.
    return text.replace("--", "-{}-").replace(r" \%", r"~\%")
