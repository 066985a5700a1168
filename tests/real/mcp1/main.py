"""A client on the official Python SDK of the first generation: what it is told, as one JSON document."""

import asyncio
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client


async def talk(command, prompt, slow):
    async with stdio_client(StdioServerParameters(command=command[0], args=command[1:])) as streams:
        async with ClientSession(*streams) as session:
            hello = await session.initialize()
            said = {"revision": hello.protocolVersion}
            said["tools"] = [tool.name for tool in (await session.list_tools()).tools]
            await session.send_ping()
            texts = ["x" * length for length in range(1, 11)]
            answers = await asyncio.gather(*[session.call_tool(prompt, {"text": text}) for text in texts])
            said["lengths"] = [answer.structuredContent["original_length"] for answer in answers]
            said["receipt"] = answers[0].meta["plugin-gateway/receipt"]
            said["wrong_arguments"] = (await session.call_tool(prompt, {})).isError
            try:
                await session.call_tool("nothing", {})
            except McpError as error:
                said["unknown_tool"] = error.error.code
            call = asyncio.create_task(session.call_tool(slow, {"text": "x"}))
            await asyncio.sleep(0.5)
            params = types.CancelledNotificationParams(requestId=session._request_id - 1)
            await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            call.cancel()
            said["after_cancel"] = (await session.call_tool(prompt, {"text": "xx"})).structuredContent["original_length"]
    print(json.dumps(said))


asyncio.run(talk(sys.argv[3:], sys.argv[1], sys.argv[2]))
