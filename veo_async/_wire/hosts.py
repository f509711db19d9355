"""Which hosts nobody out there can reach: plain functions of an address as it is written.

Nothing is resolved here, so a name is judged only where its ending settles it.
"""

import ipaddress
from urllib.parse import urlsplit

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Networks that carry IPv4 inside IPv6 (RFC 6052): what counts is the address inside.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Names that never leave a machine or its network (RFC 6761, RFC 6762).
_LOCAL_NAMES = ("localhost",)
_NETWORK_SUFFIXES = ("local", "internal")


def as_ip(host: str) -> Ip | None:
    """*host* as an address, where it is written as one."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def may_connect(address: str, *, allow_loopback: bool) -> bool:
    """Whether a socket may be opened to this numeric *address*."""
    ip = as_ip(address)
    if ip is None:
        return False
    ip = _embedded_ipv4(ip)
    if ip.is_loopback:
        return allow_loopback
    is_special = ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_link_local or ip.is_private
    return ip.is_global and not is_special and not getattr(ip, "is_site_local", False)


def unreachable_reason(url: str, *, allow_loopback: bool) -> str | None:
    """Why the provider cannot fetch *url*, which is one, as far as its text tells; None when it may."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        return "holds a user name, and the provider signs in nowhere"
    host = (parts.hostname or "").rstrip(".")
    last = host.rpartition(".")[2]
    if last in _LOCAL_NAMES:
        return None if allow_loopback else "leads to this machine, where the provider cannot go"
    is_private = as_ip(host) is not None and not may_connect(host, allow_loopback=allow_loopback)
    if is_private or ("." in host and last in _NETWORK_SUFFIXES):
        return "leads into a private network, where the provider cannot go"
    return None


def _embedded_ipv4(ip: Ip) -> Ip:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or ip
