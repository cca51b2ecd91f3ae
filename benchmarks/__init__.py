"""What is claimed about speed, measured: ``python -m benchmarks [NAME...]``.

Where two things are compared, both are measured side by side in one run, and the claim is their ratio: machines
differ, ratios less so. A goal in seconds or megabytes holds on two cores of the CI host. Docker and Podman are measured
where an engine answers; ``python -m tests.host -- python -m benchmarks`` starts a Docker, with ``--podman`` a Podman.
"""
