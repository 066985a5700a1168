// A client on the second generation of the official TypeScript SDK, with and without a session: what it is told, as one JSON document.

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [prompt, slow, command, ...args] = process.argv.slice(2);

async function talk(mode) {
    const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
    await client.connect(new StdioClientTransport({ command, args, stderr: "ignore" }));
    const call = (name, text, options) => client.callTool({ name, arguments: text === undefined ? {} : { text } }, options);
    const said = { revision: client.getNegotiatedProtocolVersion() };
    said.tools = (await client.listTools()).tools.map((tool) => tool.name);
    const texts = [...Array(10).keys()].map((length) => "x".repeat(length + 1));
    const answers = await Promise.all(texts.map((text) => call(prompt, text)));
    said.lengths = answers.map((answer) => answer.structuredContent.original_length);
    said.receipt = answers[0]._meta["plugin-gateway/receipt"];
    said.wrong_arguments = (await call(prompt)).isError;
    said.unknown_tool = await call("nothing", "x").then(() => null, (error) => error.code);
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 500);
    await call(slow, "x", { signal: abort.signal }).catch(() => {});
    said.after_cancel = (await call(prompt, "xx")).structuredContent.original_length;
    await client.close();
    return said;
}

console.log(JSON.stringify([await talk("auto"), await talk("legacy")]));
