"""Generated from proto/cri/v1/api.proto. Nothing here is written by hand; ``python -m cri.generate`` makes it."""
