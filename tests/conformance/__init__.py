"""The conformance suite: what any ``cri.Runtime`` must do, seen from outside, in this process and over gRPC.

What may live here: tests of behaviour that a caller of CRI can observe, and the kit that they are written with. A test
knows ``cri`` and ``kit.py``, and no backend; what only one engine can show is tested in ``tests/runtimes/NAME``.

Every test runs once on the runtime itself (``direct``) and once through ``cri.serve`` and ``cri.connect`` (``grpc``),
for each backend of this repository whose engine the host has::

    pytest tests/conformance                          # every backend; a missing engine skips, and says why
    pytest tests/conformance -k docker --backend docker   # that one, and it must be there
    pytest tests/conformance -k 'docker and grpc'

**Your own runtime.** Name it, by its entry point in ``cri.runtimes`` or by the address of any CRI endpoint::

    pytest tests/conformance --runtime mine
    pytest tests/conformance --runtime mine --runtime-option socket=/run/mine.sock --runtime-option workers=4
    pytest tests/conformance --runtime unix:///run/containerd/containerd.sock

A ``--runtime-option`` is a field of the backend's config; its value is read as JSON where it is JSON, else as text. The
image ``--runtime-image`` (``busybox``) must be there or be pullable: the tests want its shell and applets. The runtime
must run on this host as far as tests look at log files, mounts and published ports. Images are pulled from a registry
on 127.0.0.1, which the runtime must take without TLS; without the program ``docker-registry`` those tests skip.

**What may be missing.** A test marked ``optional("feature")`` skips when the runtime answers UNIMPLEMENTED, with the
runtime's own words. For the backends of this repository the table in ``differences.py`` says which of these skips are
allowed; any other is a failure. A test marked ``needs("feature")`` is not tried on a backend that the table says to
lack it, and runs on every other: ``kernel`` (namespaces, capabilities, mounts, cgroups), ``registry`` (pulls of real
images), ``restart`` (a second runtime over the same engine), ``binary-logs`` (bytes that are no text). For a runtime of
your own say ``--runtime-without kernel``.

**What CRI alone cannot show** is tested beside each backend: a paused container that is stopped, a process that
vanished unseen (255, Unknown), an engine that is down or restarted under a stream of events. The limits of streaming
tokens and the base64 forms of WebSocket are tested with ``cri.streaming``.
"""
