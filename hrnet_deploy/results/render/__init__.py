"""Writes a document as text in a terminal, as a page or as Markdown, and a check as JUnit XML."""
