__all__: list[str] = []

_SUPPORTED_PLATFORM: bool
