from types import ModuleType

__all__ = ["install"]

def install(name: str) -> ModuleType: ...
