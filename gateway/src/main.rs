//! The command `plugin-gateway`.

fn main() -> std::process::ExitCode {
    plugin_gateway::main()
}
