"""What each command does: `job(request, progress) -> result`. A job reads and writes files and returns a typed
result."""
