//! The connection to a server, and the sorting of what it says no to.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::object_store::{self, ObjectStore};
use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};

use crate::fault::{Fault, Kind, chain};
use crate::names;

/// The longest that a server may take to answer a connection or a request of ours.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between two tries to connect again: a link that is back is used within a second.
const RECONNECT: Duration = Duration::from_millis(500);
/// Messages that wait in a client for one of its subscriptions; beyond it they are dropped, and named.
const WAITING_MESSAGES: usize = 16 * 1024;

/// Where the server is, and with what it is opened.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// One or more addresses, with commas between them.
    pub url: String,
    /// A credentials file (JWT and nkey).
    pub creds: Option<PathBuf>,
    /// A file with an nkey's seed.
    pub nkey: Option<PathBuf>,
    /// A PEM file with the authorities that may vouch for the server's certificate.
    pub ca: Option<PathBuf>,
}

impl Access {
    /// What the server is told about who connects, and whom to believe that it is the server.
    fn with_credentials(&self, mut options: ConnectOptions) -> Result<ConnectOptions, Fault> {
        // The library reads a name in an address, and does not use it.
        let named = self.url.split(',').find_map(user_of);
        if let Some((user, password)) = named {
            options = options.user_and_password(user, password);
        }
        if let Some(file) = &self.creds {
            let text = read(file)?;
            let refused = |error| {
                Fault::new(
                    Kind::Usage,
                    format!("'{}' holds no credentials: {error}", file.display()),
                )
            };
            options = options.credentials(&text).map_err(refused)?;
        }
        if let Some(file) = &self.nkey {
            options = options.nkey(read(file)?.trim().to_owned());
        }
        if let Some(file) = &self.ca {
            options = options
                .add_root_certificates(file.clone())
                .require_tls(true);
        }
        Ok(options)
    }

    /// Connects once. `told` hears each change of the connection later on.
    ///
    /// # Errors
    /// `Refused` for credentials that the server does not take, `Internal` where no server answers.
    pub(crate) async fn connect(
        &self,
        name: &str,
        told: impl Fn(Event) + Send + Sync + Clone + 'static,
    ) -> Result<Client, Fault> {
        let mut options = ConnectOptions::new()
            .name(name)
            .connection_timeout(SERVER_TIMEOUT)
            .request_timeout(Some(SERVER_TIMEOUT))
            .subscription_capacity(WAITING_MESSAGES)
            .ping_interval(Duration::from_secs(2))
            .reconnect_delay_callback(|tries| {
                let tries = u32::try_from(tries).unwrap_or(u32::MAX).min(10);
                (Duration::from_millis(20) * tries).min(RECONNECT)
            })
            .event_callback(move |event| {
                told(event);
                async {}
            });
        options = self.with_credentials(options)?;
        let addresses: Vec<&str> = self.url.split(',').map(str::trim).collect();
        let connected = options.connect(addresses).await;
        connected.map_err(|error| match error.kind() {
            ConnectErrorKind::ServerParse => Fault::new(
                Kind::Usage,
                format!(
                    "'{}' is no server's address: {}",
                    shown(&self.url),
                    chain(&error)
                ),
            )
            .hint("write it as nats://HOST:4222, or tls://HOST:4222"),
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Fault::new(
                    Kind::Refused,
                    format!(
                        "the server at {} does not take these credentials",
                        shown(&self.url)
                    ),
                )
                .hint("give those of a user that the server knows: --creds FILE or --nkey FILE")
            }
            ConnectErrorKind::Dns
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Tls
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => Fault::internal(format!(
                "no NATS server answers at {}: {}",
                shown(&self.url),
                chain(&error)
            ))
            .hint("start one with JetStream: `nats-server --jetstream`"),
        })
    }
}

/// The user and the password in an address, if any.
fn user_of(address: &str) -> Option<(String, String)> {
    let address: ServerAddr = address.trim().parse().ok()?;
    let user = address
        .username()
        .filter(|user| !user.is_empty())?
        .to_owned();
    Some((user, address.password().unwrap_or_default().to_owned()))
}

/// A server's addresses as they may be shown: without a password.
pub(crate) fn shown(url: &str) -> String {
    let addresses = url
        .split(',')
        .map(|address| match address.rsplit_once('@') {
            None => address.trim(),
            Some((_, host)) => host.trim(),
        });
    addresses.collect::<Vec<_>>().join(",")
}

fn read(file: &std::path::Path) -> Result<String, Fault> {
    std::fs::read_to_string(file).map_err(|error| {
        Fault::new(
            Kind::Usage,
            format!("cannot read '{}': {error}", file.display()),
        )
    })
}

/// JetStream on a connection.
pub(crate) fn jetstream(client: &Client) -> Context {
    let mut context = jetstream::new(client.clone());
    context.set_timeout(SERVER_TIMEOUT);
    context
}

/// The stream of decisions; made where there is none.
pub(crate) async fn decisions(context: &Context) -> Result<Stream, Fault> {
    stream(
        context,
        names::DECISIONS_STREAM,
        names::DECISIONS_SUBJECT,
        RetentionPolicy::Limits,
    )
    .await
}

/// A stream of the fleet; made where there is none.
pub(crate) async fn stream(
    context: &Context,
    name: &str,
    subject: &str,
    retention: RetentionPolicy,
) -> Result<Stream, Fault> {
    let config = Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        retention,
        allow_direct: true,
        ..Config::default()
    };
    let made = context.get_or_create_stream(config).await;
    made.map_err(|error| no_stream(name, &error))
}

/// The store of packages; made where there is none.
pub(crate) async fn packages(context: &Context) -> Result<ObjectStore, Fault> {
    if let Ok(store) = context.get_object_store(names::PACKAGES).await {
        return Ok(store);
    }
    let config = object_store::Config {
        bucket: names::PACKAGES.to_owned(),
        ..object_store::Config::default()
    };
    let made = context.create_object_store(config).await;
    made.map_err(|error| no_stream(names::PACKAGES, &error))
}

fn no_stream(name: &str, error: &dyn std::error::Error) -> Fault {
    Fault::internal(format!(
        "the server has no stream {name}, and makes none: {}",
        chain(error)
    ))
    .hint("start the server with --jetstream, and let this user use it")
}
