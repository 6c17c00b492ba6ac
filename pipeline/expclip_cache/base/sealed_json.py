"""JSON with its own checksum, so that any changed byte is noticed."""

import xxhash


def sealed_json(text: bytes) -> bytes:
    """The JSON of an object, which is not empty, with its XXH3-128 added as the last value.

    >>> sealed_json(b'{"a":1}')
    b'{"a":1,"xxh3_128":"3c8c141663acf5a1b6b7137162fa70fb"}'
    """
    return text[:-1] + f',"xxh3_128":"{xxhash.xxh3_128_hexdigest(text)}"}}'.encode()
