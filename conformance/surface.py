"""What the official client offers, found by looking at it, and what of it was used."""

import collections
import contextlib
import functools
import inspect

import firecrest.cli2
import firecrest.v2 as v2

CLASSES = [getattr(v2, name) for name in sorted(v2.__all__)]


def methods(cls: type) -> list[str]:
    """Public methods and properties of a class."""
    return [
        name for name in dir(cls)
        if not name.startswith("_") and (callable(getattr(cls, name)) or isinstance(getattr(cls, name), property))
    ]


def commands() -> list[str]:
    """Commands of the command line."""
    return [c.name or c.callback.__name__.replace("_", "-") for c in firecrest.cli2.app.registered_commands]


def everything() -> list[str]:
    """Names such as "Firecrest.mkdir" and "firecrest mkdir"."""
    return [f"{c.__name__}.{m}" for c in CLASSES for m in methods(c)] + [f"firecrest {c}" for c in commands()]


class Usage:
    """Counts how often each of these came back well, and how often with an exception."""

    def __init__(self):
        self.good = collections.Counter()
        self.bad = collections.Counter()
        self.counts = True

    def watch(self) -> None:
        """Wraps the methods of the client, which does not notice."""
        for cls in CLASSES:
            for name in methods(cls):
                found = inspect.getattr_static(cls, name)
                if isinstance(found, property):
                    found = property(self.counted(f"{cls.__name__}.{name}", found.fget))
                else:
                    found = self.counted(f"{cls.__name__}.{name}", found)
                setattr(cls, name, found)

    def counted(self, name: str, function):
        if inspect.iscoroutinefunction(function):
            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                with self.call(name):
                    return await function(*args, **kwargs)
        else:
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                with self.call(name):
                    return function(*args, **kwargs)
        return wrapper

    @contextlib.contextmanager
    def call(self, name: str):
        try:
            yield
        except BaseException:
            self.ended(name, False)
            raise
        self.ended(name, True)

    def ended(self, name: str, well: bool) -> None:
        if self.counts:
            (self.good if well else self.bad)[name] += 1

    @contextlib.contextmanager
    def paused(self):
        """Nothing is counted meanwhile."""
        self.counts = False
        try:
            yield
        finally:
            self.counts = True
