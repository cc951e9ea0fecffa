"""One program a server: `python PROGRAM PORT FOLDER MODEL…` serves the models of a folder until it is told to end.

They are started by path, each with the Python that has what it needs.
"""
