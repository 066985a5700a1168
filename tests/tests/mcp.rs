//! The face for clients of the Model Context Protocol (contract, section 13), spoken to in raw lines and by stock clients.

#[path = "mcp/calls.rs"]
mod calls;
#[path = "mcp/client.rs"]
mod client;
#[path = "mcp/conformance.rs"]
mod conformance;
#[path = "mcp/holders.rs"]
mod holders;
#[path = "mcp/page.rs"]
mod page;
#[path = "mcp/peers.rs"]
mod peers;
#[path = "mcp/revisions.rs"]
mod revisions;
#[path = "mcp/rough.rs"]
mod rough;
#[path = "mcp/servers.rs"]
mod servers;
#[path = "mcp/stock.rs"]
mod stock;
