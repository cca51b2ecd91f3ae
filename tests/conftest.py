"""What every test may use. The fixtures live in tests/host/fixtures.py."""

pytest_plugins = ["tests.host.fixtures"]
