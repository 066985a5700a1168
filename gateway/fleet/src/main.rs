//! The command `plugin-gateway-fleet`.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    gateway_fleet::main()
}
