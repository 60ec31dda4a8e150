"""Keys for TLS on the loopback: an authority of the cluster's own, made anew at each start."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """The server's TLS context, and the authority's certificate (PEM) for those who connect."""

    context: ssl.SSLContext
    authority: str


def make_certificates(host: str) -> Certificates:
    """Make an authority and a certificate for ``host``, for localhost and for the names that pods use."""
    authority = trustme.CA(organization_name="adapter-devcluster", organization_unit_name="for development only")
    names = dict.fromkeys([host, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return Certificates(context, authority.cert_pem.bytes().decode())
