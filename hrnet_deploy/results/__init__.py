"""The results of all commands: a class for each kind of result, its JSON file, and the document made from it."""
