"""Starts the server that pip unpacked beside it."""

import os
import runpy
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
runpy.run_module("mcp_server_time", run_name="__main__")
