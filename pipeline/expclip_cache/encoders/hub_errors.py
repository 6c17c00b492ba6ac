"""What the errors of the Hugging Face hub's client mean, in one line for people.

Its classes are those of httpx, httpx2 or requests, depending on its version, and of hf_xet, so they are known by name.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from expclip_cache.encoders.model_folder import one_line

TIMEOUT = 10.0
"""Seconds to wait for the hub's answer."""

GATED = "its licence has to be accepted on its page, with the account whose token is set (hf auth login, or HF_TOKEN)"
ABSENT = "the hub has no such repository, or it is private and needs a token (hf auth login, or HF_TOKEN)"
NO_SPACE = "there is no space left on the disk"
NO_HUB = "what answers is not a hub; check HF_ENDPOINT, and whether this network has a login page"
NO_CONNECTION = "no connection; check HF_ENDPOINT, and HTTPS_PROXY if this network has a proxy"
SOCKS = "the proxy is a SOCKS proxy, for which httpx needs a package (pip install socksio)"

LASTING = {
    "GatedRepoError": GATED,
    "RepositoryNotFoundError": ABSENT,
    "RevisionNotFoundError": "the repository has no such revision",
    "ProxyError": "the proxy refuses or does not answer; check HTTPS_PROXY and HTTP_PROXY",
    "TooManyRedirects": "it redirects in a circle; check HF_ENDPOINT",
    "UnsupportedProtocol": "that is not an http or https address; check HF_ENDPOINT and the proxy",
    "InvalidURL": "that is not an http or https address; check HF_ENDPOINT and the proxy",
    "FileMetadataError": NO_HUB,
    "JSONDecodeError": NO_HUB,
}
"""What errors mean that another attempt would not change, by the names of their classes."""

PASSING = {
    "TimeoutException": f"no answer within {TIMEOUT:.0f} seconds",
    "Timeout": f"no answer within {TIMEOUT:.0f} seconds",
    "TimeoutError": f"no answer within {TIMEOUT:.0f} seconds",
    "ConnectError": NO_CONNECTION,
    "RemoteProtocolError": "the connection broke off, or what answers does not speak HTTP",
    "TransportError": "the connection broke off",
    "ConnectionError": NO_CONNECTION,
}
"""What errors mean that may be over soon."""


class HubError(Exception):
    """The hub did not give what was asked for.

    Attributes:
        reason: in words.
        passing: whether another attempt may go better.
    """

    def __init__(self, reason: str, passing: bool):
        super().__init__(reason)
        self.reason, self.passing = reason, passing


@contextmanager
def hub_errors() -> Iterator[None]:
    """Any error of the hub's client inside the block becomes a HubError."""
    try:
        yield
    except Exception as error:
        raise _explained(error) from error


def _explained(error: Exception) -> HubError:
    """What an error of the hub's client means. Its own message is often that of a fallback, so its causes are read."""
    chain: list[BaseException] = [error]
    while len(chain) < 10 and (cause := chain[-1].__cause__ or chain[-1].__context__):
        chain.append(cause)
    for each in chain:
        if (isinstance(each, OSError) and each.errno == errno.ENOSPC) or "os error 28" in str(each):
            return HubError(NO_SPACE, passing=False)
    # Its client has tried that several times already.
    tried = type(error).__name__ == "LocalEntryNotFoundError"
    for each in chain:
        kinds = [kind.__name__ for kind in type(each).__mro__]
        if "socksio" in str(each):
            return HubError(SOCKS, passing=False)
        for names, passing in ((LASTING, False), (PASSING, True)):
            if name := next((kind for kind in kinds if kind in names), None):
                return HubError(names[name], passing and not tried)
        status = getattr(getattr(each, "response", None), "status_code", None)
        if isinstance(status, int):
            return HubError(
                f"the hub answered with status {status}", passing=not tried and (status == 429 or status >= 500)
            )
    incomplete = isinstance(error, OSError) and error.errno is None
    return HubError(one_line(error), passing=incomplete or isinstance(error, RuntimeError))
