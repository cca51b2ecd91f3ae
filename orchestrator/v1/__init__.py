"""Generated from proto/orchestrator/v1/orchestrator.proto. Nothing here is written by hand."""
