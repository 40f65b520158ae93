"""Registry: the components that are installed, by kind and name, each with its distribution, version and state.

entry points, local files --discovery, local--> Plugin --registry--> Component --load--> class
"""

from lmkit.registry.component import INTERFACES, Component, Kind, Plugin, State
from lmkit.registry.local import LocalPlugin
from lmkit.registry.registry import Registry, default_registry, plugins

__all__ = [
    "INTERFACES",
    "Component",
    "Kind",
    "LocalPlugin",
    "Plugin",
    "Registry",
    "State",
    "default_registry",
    "plugins",
]
