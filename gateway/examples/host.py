"""A host in plain Python: usage `host.py STATE PACKAGE PROOF`. The package is signed by a key that the state trusts."""
import json, os, subprocess, sys, time


class Gateway:
    """One call at a time; a host with many in flight keeps the answers by their ids."""

    def __init__(self, state):
        command = [os.environ.get("PLUGIN_GATEWAY", "plugin-gateway"), "--state", state, "-q", "serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        self.last_id = 0

    def call(self, method, **params):
        self.last_id += 1
        message = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self.last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
        raise RuntimeError(f"the gateway ended with exit code {self.process.wait()}; its stderr says why")


state, package, proof = sys.argv[1:]
gateway = Gateway(state)
plugin = gateway.call("registerPlugin", package=os.path.abspath(package))["plugin_id"]
gateway.call("enablePlugin", plugin_id=plugin)
response = gateway.call("invoke", plugin_id=plugin, request={
    "request_id": "request-1", "run_id": "run-1", "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    "payload": {"kind": "text", "content": "how many words?", "encoding": "utf-8", "metadata": {}},
    "context": {}, "policy": {"deterministic_only": False, "timeout_ms": 10_000, "max_retries": 0}})
print(response["status"], json.dumps(response["result"]), response["notes"])
with open(proof, "w", encoding="utf-8") as file:
    json.dump(gateway.call("exportProof", run_id="run-1"), file, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
gateway.process.stdin.close()  # the end of the input: what is in flight is finished, then the gateway ends
sys.exit(gateway.process.wait())
