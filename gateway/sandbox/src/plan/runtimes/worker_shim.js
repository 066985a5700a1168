// Runs the older form of plugin: an exported function that takes a request and returns a response.
// process.argv is [node, file, name].
const { pathToFileURL } = require("node:url");
const [, file, name] = process.argv;
let text = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk) => { text += chunk; });
process.stdin.on("end", async () => {
  const module = await import(pathToFileURL(file));
  const handle = module[name] ?? module.default?.[name];
  if (typeof handle !== "function") {
    throw new Error(`the file exports no function named ${name}`);
  }
  const response = await handle(JSON.parse(text).request);
  process.stdout.write(JSON.stringify({ type: "result", response }) + "\n");
});
