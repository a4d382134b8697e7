"""Why a server's certificate was not accepted: for opsnb's own settings, or for what all see.

An authority that opsnb does not know, or a name that the certificate does not bear, is a matter of
opsnb's URL and settings: the service may have others. One that has run out fails everyone.
"""

from __future__ import annotations

import ssl

# OpenSSL's numbers: self-signed, an authority that is not known, and the like; another name.
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_OTHER_NAME = (62, 63, 64)


def is_of_unknown_authority(error: ssl.SSLCertVerificationError) -> bool:
    """Return whether nobody whom opsnb trusts has signed the certificate."""
    return error.verify_code in _UNKNOWN_AUTHORITY


def is_of_another_name(error: ssl.SSLCertVerificationError) -> bool:
    """Return whether the certificate is that of another host than the URL's."""
    return error.verify_code in _OTHER_NAME


def to_renew(why: str) -> str:
    """Return why nobody accepts a certificate, and how to fix it."""
    return f"{why}; renew its certificate, a restart does not help"
