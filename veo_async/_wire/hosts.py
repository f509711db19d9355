"""Which hosts the provider cannot reach, judged by the text of a URL.

Names are not resolved, so a name is only judged if its ending decides the matter.
"""

import ipaddress
from urllib.parse import urlsplit

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Networks that carry IPv4 inside IPv6 (RFC 6052): the address inside decides.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Names that never leave a machine or its network (RFC 6761, RFC 6762).
_LOCAL_NAMES = ("localhost",)
_NETWORK_SUFFIXES = ("local", "internal")


def as_ip(host: str) -> Ip | None:
    """Return *host* as an IP address, or None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def may_connect(address: str, *, allow_loopback: bool) -> bool:
    """Return True if it is safe to open a socket to this numeric *address*."""
    ip = as_ip(address)
    if ip is None:
        return False
    ip = _embedded_ipv4(ip)
    if ip.is_loopback:
        return allow_loopback
    is_special = ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_link_local or ip.is_private
    return ip.is_global and not is_special and not getattr(ip, "is_site_local", False)


def is_private(host: str, *, allow_loopback: bool) -> bool:
    """Return True if *host* can only be this machine or a part of its network, judged without resolving it."""
    host = host.rstrip(".").lower()
    last = host.rpartition(".")[2]
    if last in _LOCAL_NAMES:
        return not allow_loopback
    if as_ip(host) is not None:
        return not may_connect(host, allow_loopback=allow_loopback)
    is_number = last.isdigit() or last.startswith("0x")  # an old notation of IPv4 addresses
    return "." not in host or is_number or last in _NETWORK_SUFFIXES


def unreachable_reason(url: str, *, allow_loopback: bool) -> str | None:
    """Return why the provider cannot download the valid URL *url*, or None if nothing in its text rules it out."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        return "contains credentials; the provider cannot log in"
    host = (parts.hostname or "").rstrip(".")
    last = host.rpartition(".")[2]
    if last in _LOCAL_NAMES:
        return None if allow_loopback else "points to this machine, which the provider cannot reach"
    is_private = as_ip(host) is not None and not may_connect(host, allow_loopback=allow_loopback)
    if is_private or ("." in host and last in _NETWORK_SUFFIXES):
        return "points to a private network, which the provider cannot reach"
    return None


def _embedded_ipv4(ip: Ip) -> Ip:
    """Return the IPv4 address embedded in *ip*, or *ip* itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or ip
