//! Requests to others: bounded in time and size, and no answer is followed elsewhere.

use std::time::Duration;

use ureq::Agent;

use crate::disk::MAX_BYTES;

/// How long one request may take in all.
const LONGEST: Duration = Duration::from_secs(10);

/// Makes requests.
#[derive(Debug)]
pub(crate) struct Client(Agent);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(LONGEST))
            .http_status_as_error(false)
            // An address is trusted because the operator named it.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent("plugin-gateway-witness")
            .build();
        Self(config.into())
    }

    pub(crate) fn post(&self, url: &str, kind: &str, body: &[u8]) -> Result<Answer, String> {
        let sent = self.0.post(url).header("Content-Type", kind).send(body);
        read(sent)
    }

    pub(crate) fn get(&self, url: &str) -> Result<Answer, String> {
        read(self.0.get(url).call())
    }
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    let body = answer.body_mut().with_config().limit(MAX_BYTES);
    Ok(Answer {
        body: body.read_to_vec().map_err(|error| error.to_string())?,
        status: answer.status().as_u16(),
    })
}
