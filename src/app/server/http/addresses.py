"""Hosts and web origins as whoever runs the server writes them, checked: one that never fits helps nobody."""

from urllib.parse import urlsplit

from mlxk.domain.errors import InvalidInput

__all__ = ["host_name", "web_origin"]

ANY = "*"


def host_name(text: str) -> str:
    """A name for `Host` headers, without a port; `*` is any.

    Raises:
        InvalidInput: it has a port, or is an address with a scheme or a path.
    """
    name = text.strip()
    is_address = name.count(":") > 1  # IPv6
    if not name or "/" in name or (":" in name and not is_address) or "]:" in name:
        raise InvalidInput(
            f"The allowed host '{text}' is no host name.",
            hint="give the name alone, without http:// and port",
        )
    return name


def web_origin(text: str) -> str:
    """A web origin as browsers send it: scheme, host and port in lower case; `*` is any.

    Raises:
        InvalidInput: it has no scheme, or more than an origin has.
    """
    if text == ANY:
        return text
    try:
        parts = urlsplit(text.lower())
        is_origin = bool(parts.scheme and parts.hostname) and (parts.port or True)
    except ValueError:
        is_origin = False
    if not is_origin or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidInput(
            f"The CORS origin '{text}' is no web origin.", hint="write it like http://localhost:3000"
        )
    return f"{parts.scheme}://{parts.netloc}"
