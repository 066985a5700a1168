//! The command `plugin-gateway`.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    plugin_gateway::main()
}
