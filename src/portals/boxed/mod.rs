//! The protocol of boxed portals (`portal-box.md`): signed forms with PHP-serialized data in both directions.
//! `command` and `reply` serve the portal's calls, `push` makes ours.

mod attach;
pub mod command;
pub mod form;
pub mod php;
pub mod portal_side;
pub mod push;
pub mod reply;

use std::fmt;
use std::time::Duration;

use crate::message::{Body, IncomingKind};
use crate::net::{Call, Net, Reach};
use crate::records::Portal;
use crate::secret::Secret;

use super::{Packet, PortalError, Protocol, Receipt};

/// A portal's reply is short; more than this is not one.
const REPLY_MAX_BYTES: usize = 256 * 1024;
/// How long a portal may take to answer a test while somebody looks at its page.
const TEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A connector that every version of the module has: newer ones refuse even a test about one they don't know
/// (`portal-box.md` §4.2).
const EVERYWHERE: &str = "telegrambot";

/// `K`, the secret of both sides: md5 of the licence key.
pub fn key_md5(license_key: &str) -> Secret {
    Secret::new(form::md5_hex(license_key.as_bytes()))
}

/// `BX_LICENCE`, the public account id.
pub fn licence_id(license_key: &str) -> String {
    form::md5_hex(format!("BITRIX{license_key}LICENCE").as_bytes())
}

/// A key that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakKey;

impl fmt::Display for WeakKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this licence key is public knowledge (an unlicensed portal uses it): anybody could sign with it")
    }
}

impl std::error::Error for WeakKey {}

/// Refuses the empty key and `DEMO`, which every unlicensed portal uses (§10).
pub fn check_key(license_key: &str) -> Result<(), WeakKey> {
    if license_key.trim().is_empty() || license_key.trim().eq_ignore_ascii_case("DEMO") { Err(WeakKey) } else { Ok(()) }
}

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub struct Boxed;

impl Boxed {
    fn post(
        net: &dyn Net,
        portal: &Portal,
        reach: Reach,
        body: String,
        timeout: Duration,
    ) -> Result<Receipt, PortalError> {
        let answer = net
            .call(Call {
                method: "POST",
                url: format!("{}/pub/imconnector/index.php", portal.url),
                headers: vec![
                    ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                    ("Connection".to_owned(), "close".to_owned()),
                ],
                body: body.into_bytes(),
                reach,
                timeout,
                answer_max_bytes: REPLY_MAX_BYTES,
            })
            .map_err(PortalError::Net)?;
        push::receipt(&answer)
    }
}

impl Protocol for Boxed {
    fn name(&self) -> &'static str {
        "box"
    }

    fn deliver(
        &self,
        net: &dyn Net,
        portal: &Portal,
        packet: &Packet,
        timeout: Duration,
    ) -> Result<Receipt, PortalError> {
        let (command, data) = push::content_opened(portal, &packet.bodies, &packet.opened);
        let form = push::form(portal, command, &packet.connector, &packet.line, &data);
        Self::post(net, portal, Reach::Configured, form.encode(), timeout)
    }

    fn knock(&self, net: &dyn Net, portal: &Portal, reach: Reach) -> Result<(), PortalError> {
        let form = push::form(portal, "testConnect", EVERYWHERE, "0", &php::Value::list([]));
        Self::post(net, portal, reach, form.encode(), TEST_TIMEOUT).map(drop)
    }

    fn test(&self, net: &dyn Net, portal: &Portal, connector: &str, line: &str) -> Result<(), PortalError> {
        let form = push::form(portal, "testConnect", connector, line, &php::Value::list([]));
        Self::post(net, portal, Reach::Configured, form.encode(), TEST_TIMEOUT).map(drop)
    }

    /// Module versions below 21 send it, 23 does not (§8); between them nobody knows, and a version not seen yet may be
    /// any.
    fn confirms_by_status(&self, portal: &Portal) -> bool {
        (1..21).contains(&portal.major())
    }

    fn can_say(&self, portal: &Portal, body: &Body) -> bool {
        match body {
            Body::Message(message) if message.kind == IncomingKind::Typing => portal.major() >= push::ERRORS_FROM,
            // Open Lines ignores reading marks in every version that was looked at (§4.3); they cost it nothing.
            Body::Message(_) | Body::Notice(_) => true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
