"""The command line's own errors.

ChrionError
└── UsageError      options, files or addresses that cannot be used together or at all
"""

from chrion_api import ChrionError


class UsageError(ChrionError):
    """Options, files or addresses that cannot be used together or at all."""
