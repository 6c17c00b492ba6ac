"""Text from files, for a terminal."""

import re
import unicodedata

ESCAPED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of what a terminal would obey rather than show, or cannot show."""

PASSWORD = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:]*:)[^\s@]+@")
"""A password in an address: https://name:password@host."""


def printable(text: str) -> str:
    r"""The text with everything escaped that is not a visible character, a space, a tab or the end of a line.

    Passwords in addresses are left out.

    Names of files, and texts of files that others wrote, may hold sequences that a terminal obeys, characters that
    reverse what follows, or bytes that are no text at all.

    >>> printable("a\x1b]0;title\x07.jpg")
    'a\\x1b]0;title\\x07.jpg'
    >>> printable("webdav://me:secret@host/features: cannot be read")
    'webdav://me:***@host/features: cannot be read'
    """
    text = PASSWORD.sub(r"\1***@", text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if character not in "\n\t" and unicodedata.category(character) in ESCAPED
        else character
        for character in text
    )


def printable_name(name: object) -> str:
    r"""The same for a name within a line: the ends of lines and tabs in it are escaped too.

    >>> printable_name("two\nlines.jpg")
    'two\\nlines.jpg'
    """
    return printable(str(name)).replace("\n", "\\n").replace("\t", "\\t")
