//! The page that checks itself: one HTML file with a proof bundle and a public key in it, made of `gateway/page`. It judges nothing itself:
//! what is in the file is put in as it is, and the page says what is wrong with it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger::LogKey;
use plugin_protocol::digest::KeyId;

use super::proofs::{MAX_KEY_BYTES, read, read_key};
use crate::error::Error;

/// What `npm run build` made in `gateway/page`. Its Content-Security-Policy names the hashes of its script and style, which are
/// therefore not touched here.
const PAGE: &str = include_str!("../../page/built/page.html");

/// Where the bundle and the key go, in base64, so that no byte of them can be taken for HTML.
const BUNDLE_PLACE: &str = "EMBEDDED-BUNDLE";
const KEY_PLACE: &str = "EMBEDDED-KEY";

/// The largest bundle that is put into a page, in bytes: beyond some ten thousand events a browser holds the page with effort.
const MAX_PAGE_BUNDLE_BYTES: u64 = 64 * 1024 * 1024;

/// A page, and the key that it trusts.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) html: String,
    pub(crate) key_id: Option<KeyId>,
}

/// A page of the bundle in `file`. Without a key the page's reader has to give one.
pub(crate) fn page_of_file(file: &Path, key: Option<&Path>) -> Result<Page, Error> {
    let bundle = read(file, MAX_PAGE_BUNDLE_BYTES)?;
    page(&bundle, key)
}

/// A page of a bundle's bytes.
pub(crate) fn page(bundle: &[u8], key: Option<&Path>) -> Result<Page, Error> {
    if bundle.len() as u64 > MAX_PAGE_BUNDLE_BYTES {
        return Err(Error::Invalid {
            message: format!(
                "the proof is larger than the {MAX_PAGE_BUNDLE_BYTES} bytes that a page holds: `plugin-gateway proof export` writes it alone"
            ),
        });
    }
    let key = key
        .map(|file| Ok::<_, Error>((read_key(file)?, read(file, MAX_KEY_BYTES)?)))
        .transpose()?;
    let text = key.as_ref().map(|(_, text)| text.as_slice());
    Ok(Page {
        html: filled(bundle, text.unwrap_or_default()),
        key_id: key.as_ref().map(|(key, _): &(LogKey, _)| key.id()),
    })
}

fn filled(bundle: &[u8], key: &[u8]) -> String {
    PAGE.replacen(BUNDLE_PLACE, &BASE64.encode(bundle), 1)
        .replacen(KEY_PLACE, &BASE64.encode(key), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each place is there once, and nothing that is put in can be taken for the other's place or for HTML.
    #[test]
    fn a_page_holds_the_bytes_as_they_are() {
        for place in [BUNDLE_PLACE, KEY_PLACE] {
            assert_eq!(PAGE.matches(place).count(), 1, "{place}");
        }
        let bundle = b"</script>EMBEDDED-KEY\xff";
        let html = filled(bundle, b"a key");
        let inside = |id: &str| {
            let (_, rest) = html.split_once(&format!("id=\"{id}\">")).unwrap();
            let (text, _) = rest.split_once("</script>").unwrap();
            BASE64.decode(text).unwrap()
        };
        assert_eq!(inside("embedded-bundle"), bundle);
        assert_eq!(inside("embedded-key"), b"a key");
        assert_eq!(html.matches("</script>").count(), 3);
    }
}
