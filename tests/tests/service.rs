//! The gateway as a service: no host on stdin, operators on the control socket, and a service manager that is told (sd_notify(3)).

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, Stdio};
use std::time::Duration;

use campaigns::Host;
use campaigns::crowd;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wait_timeout::ChildExt as _;

/// Longer than anything takes here.
const STUCK: Duration = Duration::from_secs(60);

fn serve(host: &Host, manager: &str) -> Child {
    host.alone();
    host.command()
        .args(["serve", "--socket-only"])
        .env("NOTIFY_SOCKET", manager)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the manager is told next.
fn told(manager: &UnixDatagram) -> String {
    manager.set_read_timeout(Some(STUCK)).unwrap();
    let mut line = [0; 64];
    let bytes = manager.recv(&mut line).unwrap();
    String::from_utf8_lossy(&line[..bytes]).into_owned()
}

/// Serves until SIGTERM: ready when it says so, nothing on stdout, and nothing of it left.
fn lives_and_ends(manager: &UnixDatagram, name: &str) {
    let host = Host::new();
    let plugin = host.install(&crowd::neighbour());
    let mut gateway = serve(&host, name);
    assert_eq!(told(manager), "READY=1");
    let socket = host.state().join("control.sock");
    assert!(socket.exists());
    let response = host.ask(&plugin, "hello");
    assert_eq!(response["status"], "ok", "{response}");
    assert!(
        gateway.try_wait().unwrap().is_none(),
        "an empty stdin is no reason to end"
    );
    kill(
        Pid::from_raw(gateway.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(told(manager), "STOPPING=1");
    let ended = gateway.wait_timeout(STUCK).unwrap().expect("it ends");
    assert_eq!(ended.code(), Some(0));
    let said = std::io::read_to_string(gateway.stdout.take().unwrap()).unwrap();
    assert_eq!(said, "");
    assert!(!socket.exists());
    host.verified();
}

#[test]
fn a_service_tells_its_manager_at_a_path() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    lives_and_ends(&manager, path.to_str().unwrap());
}

#[test]
fn a_service_tells_its_manager_at_an_abstract_name() {
    let name = format!("plugin-gateway-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    lives_and_ends(&manager, &format!("@{name}"));
}

/// A manager that is not there stops nobody.
#[test]
fn a_manager_that_is_gone_is_no_reason_to_end() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("nobody");
    let host = Host::new();
    let mut gateway = serve(&host, path.to_str().unwrap());
    let socket = host.state().join("control.sock");
    while !socket.exists() {
        assert!(gateway.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    host.say(["list"]).expect(0);
    kill(
        Pid::from_raw(gateway.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let ended = gateway.wait_timeout(STUCK).unwrap().expect("it ends");
    assert_eq!(ended.code(), Some(0));
}
