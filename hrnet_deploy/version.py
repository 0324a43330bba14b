"""The version of the package. This is the only place that gives it; pyproject.toml reads it from here."""

__version__ = "0.1.0"
