"""The models behind a server: those that are served, and a repository of more."""
