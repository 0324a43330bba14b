"""What every command finds: a class for each kind of result, its file, and the document it makes."""
