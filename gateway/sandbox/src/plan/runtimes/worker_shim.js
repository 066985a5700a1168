// Runs the older form of plugin: an exported function that takes a request and returns a response.
// process.argv is [node, file, name].
const { readFileSync, writeSync } = require("node:fs");
const [, file, name] = process.argv;

// What is printed is for people: on stdout it would be taken for the answer.
Object.defineProperty(process, "stdout", { get: () => process.stderr });

// More of a message would not fit every plugin's answer.
const NOTES_CHARS = 2000;

let answered = false;

function answer(response) {
  if (answered) return;
  const line = Buffer.from(JSON.stringify({ type: "result", response }) + "\n");
  answered = true;
  for (let written = 0; written < line.length; ) written += writeSync(1, line, written);
}

function words(failure) {
  try {
    const text = String(failure).slice(0, NOTES_CHARS);
    // Half a pair is no character, and would be refused: it is written out.
    return text.replace(/\p{Surrogate}/gu, (half) => "\\u" + half.charCodeAt().toString(16));
  } catch {
    return "it threw what has no words";
  }
}

function shown(failure) {
  try {
    console.error(failure);
  } catch {
    // It cannot be shown; its words are still owed.
  }
}

// What `require` says of an ECMAScript module that it cannot load: of any, before Node 20.19, and of one that awaits at its top.
const FOR_IMPORT = ["ERR_REQUIRE_ESM", "ERR_REQUIRE_ASYNC_MODULE"];

// Node's own loader for ECMAScript modules takes as long to start as a third of Node itself, so it is left alone where it can be.
function load() {
  try {
    return require(file);
  } catch (failure) {
    if (!FOR_IMPORT.includes(failure?.code)) throw failure;
    return import(require("node:url").pathToFileURL(file));
  }
}

(async () => {
  // Before the request is read: a process that was started ahead of its request has this behind it when the request comes.
  let handle;
  try {
    const module = await load();
    handle = module?.[name] ?? module?.default?.[name];
    if (typeof handle !== "function") throw new Error(`it exports no function named ${name}`);
  } catch (failure) {
    // No answer: the gateway knows what Node's words mean, and quotes the last of them.
    shown(failure);
    console.error(`the file could not be loaded: ${words(failure)}`);
    process.exit(1);
  }
  const { request } = JSON.parse(readFileSync(0, "utf8"));
  const failed = (failure) => {
    shown(failure);
    answer({ request_id: request.request_id, status: "error", result: null, notes: words(failure) });
  };
  // What it throws later, out of a callback or an abandoned promise, comes here.
  process.on("uncaughtException", failed);
  try {
    const response = await handle(request);
    if (response === null || typeof response !== "object") {
      throw new TypeError(`${name} must return a response, and returned ${response}`);
    }
    answer(response);
  } catch (failure) {
    failed(failure);
  }
})();
