"""The main job, shown end to end on a simulated brand whose truth is known."""

from serving.demo.verb import demo

__all__ = ["demo"]
