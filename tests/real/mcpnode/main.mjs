// A client on the official TypeScript SDK: what it is told, as one JSON document.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [prompt, slow, command, ...args] = process.argv.slice(2);
const client = new Client({ name: "test", version: "1" });
await client.connect(new StdioClientTransport({ command, args, stderr: "ignore" }));
const call = (name, text, options) => client.callTool({ name, arguments: text === undefined ? {} : { text } }, undefined, options);
const said = {};
said.tools = (await client.listTools()).tools.map((tool) => tool.name);
await client.ping();
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
console.log(JSON.stringify(said));
