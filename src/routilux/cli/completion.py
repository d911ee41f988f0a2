"""Completion for shells, made from the parser. Needs the extra `cli`."""

import argparse

import shtab


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Give the script that a shell reads to complete `routilux` commands."""
    return shtab.complete(parser, shell)
