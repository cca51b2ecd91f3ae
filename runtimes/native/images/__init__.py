"""Images of the native engine, all on disk: layers unpacked once and shared, and what containers are made of.

``Images`` is CRI's image service, with import; ``Snapshots`` mounts the root file systems of containers. A layer that
somebody hostile made is refused or does no harm: everything is unpacked below one open directory, and nothing that is
on the disk lacks a row which tells whose it is.
"""

from runtimes.native.images.records import ImageRecord
from runtimes.native.images.schema import SCHEMA
from runtimes.native.images.service import Images
from runtimes.native.images.snapshots import IdMap, Snapshots

__all__ = ["SCHEMA", "IdMap", "ImageRecord", "Images", "Snapshots"]
