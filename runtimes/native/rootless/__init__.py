"""The native engine of a user who is not root.

A process with threads cannot enter a user namespace, so the engine runs in a server of its own there: started by the
first who needs it, found by the next, gone when nobody is connected. One small program holds the namespaces; when it
ends the kernel ends everything in them, and the engine takes that for a reboot.
"""
