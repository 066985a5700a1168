//! Attacks that reach for the network or for another process's sockets; the code is in `network.c`.

use super::Outside::{Depends, Root, Works};
use super::{Attack, named, quiet};

/// The call that every socket begins with.
const SOCKET: &[&str] = &["socket"];
/// Why a rare family may be missing.
const RARE: Outside = Depends("the kernel may lack this family");

use super::Outside;

/// Every attack on the network.
pub const ATTACKS: &[Attack] = &[
    named("tcp_connect", Works, SOCKET).marks(),
    named("mptcp_connect", RARE, SOCKET).marks(),
    named("tcp_connect_upper_half", Works, SOCKET).marks(),
    named(
        "tcp_fast_open",
        Depends("fast open may be switched off"),
        SOCKET,
    ),
    named("tcp6_socket", RARE, SOCKET),
    named("tcp_listen", Works, SOCKET),
    named("udp_send", Works, SOCKET).marks(),
    named("udp_sendmsg", Works, SOCKET).marks(),
    named("udp_lite", RARE, SOCKET),
    named(
        "icmp_socket",
        Depends("the group may not be in net.ipv4.ping_group_range"),
        SOCKET,
    ),
    named("raw_socket", Root, SOCKET),
    named(
        "packet_socket",
        Depends("packet sockets need root and a kernel that has them"),
        SOCKET,
    ),
    named("netlink_socket", Works, SOCKET),
    named("crypto_socket", RARE, SOCKET),
    named("vm_socket", RARE, SOCKET),
    named("xdp_socket", RARE, SOCKET),
    named("sctp_socket", RARE, SOCKET),
    named("bluetooth_socket", RARE, SOCKET),
    named("qipcrtr_socket", RARE, SOCKET),
    named("path_socket", Works, SOCKET).marks(),
    named("abstract_socket", Works, SOCKET).marks(),
    named("bind_path_socket", Works, SOCKET).marks(),
    named("pair_of_packets", Works, &["socketpair"]),
    quiet(
        "io_uring_socket",
        Depends("kernel.io_uring_disabled may be set"),
    ),
];
