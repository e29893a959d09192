"""The canonical head, 3D queries on and in it, layouts, sampling."""

from facequery.head.actor import Actor
from facequery.head.binding import Binding
from facequery.head.layouts import layout_names, load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet

__all__ = ["Actor", "Binding", "HeadModel", "QuerySet", "layout_names", "load_layout"]
