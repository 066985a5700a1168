//! A server and its nodes on this machine, for one test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The credentials that the server takes.
const USER: &str = "fleet:secret";

pub(crate) struct Town {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
    nodes: Vec<Option<Child>>,
    nets: Option<Nets>,
}

/// A network for the server and one for each node, on a bridge.
pub(crate) struct Nets {
    pub(crate) name: String,
    pub(crate) nodes: usize,
}

impl Nets {
    /// The addresses are this process's own.
    pub(crate) fn subnet() -> String {
        let process = std::process::id();
        format!("10.{}.{}", 64 + process / 256 % 128, process % 256)
    }

    /// Cuts a node's link, or puts it back.
    pub(crate) fn link(&self, node: usize, up: bool) {
        let word = if up { "up" } else { "down" };
        let (net, link) = (format!("{}s", self.name), format!("v{node}"));
        finish(Command::new("ip").args(["-n", &net, "link", "set", &link, word]));
    }

    fn command(&self, net: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &format!("{}{net}", self.name)])
            .arg(program);
        command
    }
}

impl Drop for Nets {
    fn drop(&mut self) {
        let nets = (0..self.nodes)
            .map(|node| format!("n{node}"))
            .chain(["s".to_owned()]);
        for net in nets {
            finish(Command::new("ip").args(["netns", "del", &format!("{}{net}", self.name)]));
        }
    }
}

/// What a command said: its exit code, stdout and stderr.
pub(crate) type Said = (i32, String, String);

pub(crate) fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// The params of an invoke of the plugin.
pub(crate) fn message(request_id: &str) -> Vec<u8> {
    let request = json!({
        "request_id": request_id, "run_id": "r", "timestamp": "2026-01-31T12:00:00Z", "context": {},
        "payload": {"kind": "text", "content": "a b", "encoding": "utf-8", "metadata": {}},
        "policy": {"deterministic_only": false, "timeout_ms": 20000, "max_retries": 0},
    });
    json!({ "plugin_id": "p.hello.sh", "request": request })
        .to_string()
        .into_bytes()
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn fleet_binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_plugin-gateway-fleet"))
}

/// The command, which the workspace's build puts beside this crate's.
fn gateway_binary() -> PathBuf {
    fleet_binary().with_file_name("plugin-gateway")
}

fn server_binary() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
}

fn finish(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

impl Town {
    /// A fleet whose nodes are vouched for and serve `p.hello.sh`; none where there is no server to run it on.
    pub(crate) fn with_plugin(nodes: usize) -> Option<Self> {
        Self::begin(nodes, None)
    }

    /// The same, with server and nodes in networks of their own.
    pub(crate) fn in_nets(nets: Nets) -> Option<Self> {
        Self::begin(nets.nodes, Some(nets))
    }

    fn begin(nodes: usize, nets: Option<Nets>) -> Option<Self> {
        if server_binary().is_none() {
            skip::skip("nats-server is not installed");
            return None;
        }
        if !gateway_binary().is_file() {
            skip::skip("plugin-gateway is not built: cargo build --workspace --bins");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut town = Self {
            folder,
            port,
            server: None,
            nodes: Vec::new(),
            nets,
        };
        town.start_server();
        for key in ["operator", "vendor"] {
            town.ok(town.gateway(&["keygen", "--out", &town.path(key)]));
        }
        for node in 0..nodes {
            town.ok(town.gateway(&["--state", &town.state(node), "init"]));
            town.nodes.push(None);
            town.start_node(node);
        }
        town.until(|town| town.nodes().len() == nodes);
        let operator = town.path("operator");
        for node in town.nodes() {
            town.ok(town.fleet(&["vouch", node["node"].as_str().unwrap(), "--key", &operator]));
        }
        let package = town.signed_copy("p.hello.sh");
        town.ok(town.fleet(&["trust", "add", &town.path("vendor.pub"), "--key", &operator]));
        town.ok(town.fleet(&["publish", &package, "--key", &operator]));
        town.ok(town.fleet(&["enable", "p.hello.sh", "--key", &operator]));
        town.all_serve();
        Some(town)
    }

    fn command(&self, net: &str, program: &Path) -> Command {
        match &self.nets {
            Some(nets) => nets.command(net, program),
            None => Command::new(program),
        }
    }

    pub(crate) fn nets(&self) -> &Nets {
        self.nets.as_ref().unwrap()
    }

    pub(crate) fn start_server(&mut self) {
        let (user, password) = USER.split_once(':').unwrap();
        let mut server = self.command("s", &server_binary().unwrap());
        let port = self.port.to_string();
        server.args([
            "--addr",
            &self.host(),
            "--port",
            &port,
            "--jetstream",
            "--user",
            user,
            "--pass",
            password,
        ]);
        server
            .arg("--store_dir")
            .arg(self.folder.path().join("jetstream"));
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.path("server.log"))
            .unwrap();
        let server = server
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((self.host(), self.port)).is_err() {
            assert!(Instant::now() < end, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill_server(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Waits until every node serves the plugin.
    pub(crate) fn all_serve(&self) {
        let nodes = self.nodes.len();
        self.until(|town| {
            let said = town.nodes();
            said.len() == nodes
                && said
                    .iter()
                    .all(|node| node["plugins"] == json!(["p.hello.sh"]))
        });
    }

    fn ok(&self, said: Said) {
        assert_eq!(said.0, 0, "{said:?}\n{}", self.log());
    }

    fn until(&self, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(120);
        while !holds(self) {
            assert!(Instant::now() < end, "{:?}\n{}", self.nodes(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn state(&self, node: usize) -> String {
        self.path(&format!("node-{node}"))
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host(), self.port)
    }

    fn host(&self) -> String {
        match &self.nets {
            Some(_) => format!("{}.1", Nets::subnet()),
            None => "127.0.0.1".to_owned(),
        }
    }

    /// What the nodes said on stderr.
    pub(crate) fn log(&self) -> String {
        let logs = (0..self.nodes.len())
            .map(|node| fs::read_to_string(self.path(&format!("log-{node}"))).unwrap_or_default());
        logs.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn gateway(&self, words: &[&str]) -> Said {
        finish(Command::new(gateway_binary()).args(words))
    }

    /// The local command on the first node's state.
    pub(crate) fn local(&self, words: &[&str]) -> Said {
        finish(
            Command::new(gateway_binary())
                .args(["--state", &self.state(0)])
                .args(words),
        )
    }

    pub(crate) fn own_url(&self) -> String {
        format!("nats://{USER}@{}", self.address())
    }

    pub(crate) fn fleet(&self, words: &[&str]) -> Said {
        self.fleet_at(&self.own_url(), words)
    }

    pub(crate) fn fleet_at(&self, url: &str, words: &[&str]) -> Said {
        let mut command = Command::new(fleet_binary());
        command
            .args(["--nats", url, "--receipts", &self.path("receipts")])
            .args(words);
        finish(&mut command)
    }

    pub(crate) fn nodes(&self) -> Vec<Value> {
        let said = self.fleet(&["--json", "nodes"]);
        serde_json::from_str(&said.1).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        let mut command = self.command(&format!("n{node}"), &fleet_binary());
        command.args([
            "--nats",
            &self.own_url(),
            "node",
            "--state",
            &self.state(node),
            "--operator",
            &self.path("operator.pub"),
        ]);
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.path(&format!("log-{node}")))
            .unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.nodes[node] = Some(child);
    }

    /// A real kill -9.
    pub(crate) fn kill_node(&mut self, node: usize) {
        let mut child = self.nodes[node].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Whether it ended in good order when it was told to.
    pub(crate) fn end_node(&mut self, node: usize) -> bool {
        let mut child = self.nodes[node].take().unwrap();
        finish(Command::new("kill").arg(child.id().to_string()));
        child.wait().unwrap().success()
    }

    /// What both verifiers say of a proof.
    pub(crate) fn verify(&self, proof: &Value) -> [bool; 2] {
        let file = self.path("to-verify.json");
        fs::write(&file, proof.to_string()).unwrap();
        let key = self.path("operator.pub");
        let own = self.gateway(&["proof", "verify", &file, "--key", &key]);
        let mut python = Command::new("python3");
        python
            .arg(project("scripts/verify_proof.py"))
            .args(["bundle", &file, "--key", &key]);
        let other = finish(&mut python);
        for said in [&own, &other] {
            assert!(said.0 <= 1, "{said:?}");
        }
        [own.0 == 0, other.0 == 0]
    }

    /// A signed copy of the sample, under another id.
    pub(crate) fn signed_copy(&self, id: &str) -> String {
        let (from, to) = (project("sample-plugins/hello-sh"), self.path(id));
        finish(Command::new("cp").arg("-r").arg(from).arg(&to));
        finish(
            Command::new("cp")
                .arg(project("plugin-protocol/sdk/sh/omega-plugin.sh"))
                .arg(&to),
        );
        let manifest = Path::new(&to).join("plugin.json");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(manifest, text.replace("p.hello.sh", id)).unwrap();
        self.ok(self.gateway(&["sign", &to, "--key", &self.path("vendor")]));
        to
    }

    pub(crate) fn key_id(&self, file: &str) -> String {
        registry::PublicKey::read(Path::new(&self.path(file)))
            .unwrap()
            .id()
            .to_string()
    }

    /// The plugin's status at the first node.
    pub(crate) fn status(&self) -> String {
        let plugins: Value = serde_json::from_str(&self.local(&["--json", "list"]).1).unwrap();
        plugins[0]["status"].as_str().unwrap().to_owned()
    }

    fn connected<T>(&self, act: impl AsyncFnOnce(async_nats::Client) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let client = async_nats::ConnectOptions::with_user_and_password(
                "fleet".to_owned(),
                "secret".to_owned(),
            );
            let client = client.connect(self.url()).await.unwrap();
            act(client).await
        })
    }

    pub(crate) fn publish(&self, subject: &str, payload: &[u8]) {
        self.connected(async |client| {
            client
                .publish(subject.to_owned(), payload.to_vec().into())
                .await
                .unwrap();
            client.flush().await.unwrap();
        });
    }

    pub(crate) fn request(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (BTreeMap<String, String>, Vec<u8>) {
        self.connected(async |client| {
            let mut map = HeaderMap::new();
            headers
                .iter()
                .for_each(|(name, value)| map.insert(*name, *value));
            let message = client
                .request_with_headers(subject.to_owned(), map, body.to_vec().into())
                .await
                .unwrap();
            let headers = message.headers.unwrap_or_default();
            let headers = headers
                .iter()
                .map(|(name, values)| (name.to_string(), values[0].to_string()));
            (headers.collect(), message.payload.to_vec())
        })
    }

    pub(crate) fn message_of_decisions(&self, sequence: u64) -> Vec<u8> {
        self.connected(async |client| {
            let stream = jetstream::new(client)
                .get_stream("OMEGA_DECISIONS")
                .await
                .unwrap();
            stream
                .get_raw_message(sequence)
                .await
                .unwrap()
                .payload
                .to_vec()
        })
    }

    /// Puts other bytes into the store under a package's digest.
    pub(crate) fn change_in_store(&self, package: &str) {
        const OTHER: &[u8] = b"[{\"path\":\"plugin.json\",\"what\":{\"file\":{\"bytes\":2,\"executable\":false,\"changed_s\":0}}}]\n{}";
        let digest = registry::Package::read(Path::new(package))
            .unwrap()
            .digest()
            .to_string();
        self.connected(async |client| {
            let store = jetstream::new(client)
                .get_object_store("OMEGA_PACKAGES")
                .await
                .unwrap();
            store.put(digest.as_str(), &mut &OTHER[..]).await.unwrap();
        });
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten().chain(self.server.as_mut()) {
            child.kill().unwrap_or_default();
            drop(child.wait());
        }
    }
}
