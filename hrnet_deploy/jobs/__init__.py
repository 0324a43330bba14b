"""What each command does: `job(request, progress) -> result`, from files to a typed result."""
