"""The site of the documents: what `docs/` becomes for a browser, and the pages that are made of what the program says.

It changes no document and asks the network nothing.
"""
