"""Executions as files, without a driver."""

import os

import qmap as module


def prepare(tool, text, logs):
    """Make the logs folder for a map in a tool's folder, and start nothing."""
    tool.write('prepared.map', text)
    here = os.getcwd()
    os.chdir(tool.folder)
    try:
        return module.Preparation('prepared.map', profile='local').create(logs)
    finally:
        os.chdir(here)
