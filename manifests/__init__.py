"""What users may write, and what it says of tasks. Knows neither the orchestrator nor a runtime."""
