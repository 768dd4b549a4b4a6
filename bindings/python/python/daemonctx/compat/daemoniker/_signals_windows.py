"""daemoniker for Windows, which this is not: programs ask for this."""

__all__ = []

_SUPPORTED_PLATFORM = False
