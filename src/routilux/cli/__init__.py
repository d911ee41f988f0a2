"""The command line: `routilux run FILE`, `routilux version`, `routilux completion SHELL`.

Works in a bare install with plain lines; with the extra `cli` it draws a bar and tables on a terminal.
"""
