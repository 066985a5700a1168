// Attacks that reach for the network or for another process's sockets.
static struct sockaddr_in here(long port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}
static struct sockaddr_un local(const char *name, int abstract, socklen_t *length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + abstract, name, sizeof address.sun_path - 2);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name) + !abstract);
    return address;
}
static int connect_tcp(int protocol) {
    struct sockaddr_in to = here(number("tcp"));
    int fd = socket(AF_INET, SOCK_STREAM, protocol);
    return fd < 0 ? errno : did(connect(fd, (void *)&to, sizeof to));
}
ATTACK(tcp_connect) { return connect_tcp(0); }
ATTACK(mptcp_connect) { return connect_tcp(262); }
ATTACK(tcp_connect_upper_half) {
    struct sockaddr_in to = here(number("tcp"));
    long fd = syscall(SYS_socket, 0x100000000 | AF_INET, 0x100000000 | SOCK_STREAM, 0);
    return fd < 0 ? errno : did(connect((int)fd, (void *)&to, sizeof to));
}
ATTACK(tcp_fast_open) {
    struct sockaddr_in to = here(number("tcp"));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? errno : did(sendto(fd, "x", 1, 0x20000000, (void *)&to, sizeof to));
}
ATTACK(tcp6_socket) { return got(socket(AF_INET6, SOCK_STREAM, 0)); }
ATTACK(tcp_listen) {
    struct sockaddr_in at = here(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? errno : bind(fd, (void *)&at, sizeof at) ? errno : did(listen(fd, 1));
}
ATTACK(udp_send) {
    struct sockaddr_in to = here(number("udp"));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return fd < 0 ? errno : did(sendto(fd, "x", 1, 0, (void *)&to, sizeof to));
}
ATTACK(udp_sendmsg) {
    struct sockaddr_in to = here(number("udp"));
    struct iovec part = {"x", 1};
    struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return fd < 0 ? errno : did(sendmsg(fd, &message, 0));
}
ATTACK(udp_lite) { return got(socket(AF_INET, SOCK_DGRAM, 136)); }
ATTACK(icmp_socket) { return got(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)); }
ATTACK(raw_socket) { return got(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
ATTACK(packet_socket) { return got(socket(AF_PACKET, SOCK_RAW, 0)); }
ATTACK(netlink_socket) { return got(socket(AF_NETLINK, SOCK_RAW, 0)); }
ATTACK(crypto_socket) { return got(socket(AF_ALG, SOCK_SEQPACKET, 0)); }
ATTACK(vm_socket) { return got(socket(AF_VSOCK, SOCK_STREAM, 0)); }
ATTACK(xdp_socket) { return got(socket(44, SOCK_RAW, 0)); }
ATTACK(sctp_socket) { return got(socket(AF_INET, SOCK_STREAM, 132)); }
ATTACK(bluetooth_socket) { return got(socket(31, SOCK_RAW, 1)); }
ATTACK(qipcrtr_socket) { return got(socket(42, SOCK_DGRAM, 0)); }
ATTACK(path_socket) {
    socklen_t length;
    struct sockaddr_un to = local(argument("unix"), 0, &length);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? errno : did(connect(fd, (void *)&to, length));
}
ATTACK(abstract_socket) {
    socklen_t length;
    struct sockaddr_un to = local(argument("abstract"), 1, &length);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? errno : did(connect(fd, (void *)&to, length));
}
ATTACK(bind_path_socket) {
    socklen_t length;
    struct sockaddr_un at = local(scratch("sock"), 0, &length);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? errno : did(bind(fd, (void *)&at, length));
}
ATTACK(pair_of_packets) {
    int pair[2];
    return did(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
}
ATTACK(io_uring_socket) {
    // A ring alone is enough: with one, IORING_OP_SOCKET and IORING_OP_CONNECT are not seen by any filter.
    char parameters[120] = {0};
    return got(syscall(425, 2, parameters));
}
