"""A first config from a look at the data: rows → look → guess → task → draft → write.

Only `rows` reads files, and only `make` writes them.
"""
