"""A client on the official Python SDK of the second generation, with and without sessions: what it is told, as one JSON document."""

import asyncio
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client


async def talk(command, prompt, slow, mode):
    server = StdioServerParameters(command=command[0], args=command[1:])
    async with Client(stdio_client(server), mode=mode) as client:
        said = {"revision": client.protocol_version}
        said["tools"] = [tool.name for tool in (await client.list_tools()).tools]
        texts = ["x" * length for length in range(1, 11)]
        answers = await asyncio.gather(*[client.call_tool(prompt, {"text": text}) for text in texts])
        said["lengths"] = [answer.structured_content["original_length"] for answer in answers]
        said["receipt"] = answers[0].meta["plugin-gateway/receipt"]
        said["wrong_arguments"] = (await client.call_tool(prompt, {})).is_error
        try:
            await client.call_tool("nothing", {})
        except MCPError as error:
            said["unknown_tool"] = error.error.code
        with anyio.move_on_after(0.5):
            await client.call_tool(slow, {"text": "x"})
        said["after_cancel"] = (await client.call_tool(prompt, {"text": "xx"})).structured_content["original_length"]
        return said


async def main():
    print(json.dumps([await talk(sys.argv[3:], sys.argv[1], sys.argv[2], mode) for mode in ("auto", "legacy")]))


asyncio.run(main())
