//! A portal's new public address. It came in a message, so where it may lead is decided by the rule for learned
//! addresses; it is stored only after the portal has answered there (`portal-box.md` §10).

use serde_json::{Value, json};

use super::{Failure, Refused, not_connected};
use crate::http::service::Service;
use crate::net::{NetError, Reach};
use crate::portals::boxed::reply;
use crate::portals::{PortalError, protocol};
use crate::records::Portal;
use crate::sender::Event;
use crate::store::directory;

/// Codes of this command are looked up by the portal as messages of its own (`portal-box.md` §3.3).
fn refuse(tail: &str, why: impl Into<String>) -> Failure {
    Refused::new(&format!("IM_CONNECTOR_SERVER_ERROR_{tail}"), why).into()
}

/// `saveDomainSite`, which the portal also sends to ask whether its known address still works.
pub(super) fn save_domain(service: &Service, portal: &Portal, url: &str) -> Result<Value, Failure> {
    if url.is_empty() {
        return Err(refuse("PUBLIC_URL_EMPTY", "the command names no address"));
    }
    let parsed = url::Url::parse(url).ok().filter(is_plain);
    let Some(parsed) = parsed else {
        return Err(refuse("PUBLIC_URL_MALFORMED", "the address is not scheme, host, port and path alone"));
    };
    let mut moved = portal.clone();
    parsed.as_str().trim_end_matches('/').clone_into(&mut moved.url);
    if moved.url == portal.url {
        return Ok(reply::ok(&json!({})));
    }
    // Another port or scheme of the host that the administrator wrote is as trusted as that host.
    let same_host = url::Url::parse(&portal.url).is_ok_and(|known| known.host() == parsed.host());
    let reach = if same_host { Reach::Configured } else { Reach::Learned };
    let Some(protocol) = protocol(&portal.protocol) else { return Err(not_connected()) };
    protocol.knock(service.net.as_ref(), &moved, reach).map_err(|error| {
        let tail = match &error {
            PortalError::Net(NetError::Forbidden(_)) => "PUBLIC_URL_LOCALHOST",
            PortalError::Net(NetError::BadUrl(_)) => "PUBLIC_URL_FAIL",
            PortalError::Net(_) => "PUBLIC_URL_CONNECT_ERROR",
            PortalError::Rubbish { .. } => "PUBLIC_URL_ANSWER_MALFORMED",
            PortalError::Refused { .. } => "PUBLIC_URL_WRONG_ANSWER",
        };
        refuse(tail, error.to_string())
    })?;
    let (id, to) = (portal.id, moved.url);
    let who = format!("portal {}", portal.name);
    service.writer.write(service.commit_wait, move |tx| {
        directory::move_portal(tx.db(), id, &to)?;
        directory::journal(tx, &who, "portal moved", None, &to)
    })?;
    service.sender.tell(Event::Changed);
    Ok(reply::ok(&json!({})))
}

fn is_plain(url: &url::Url) -> bool {
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    matches!(url.scheme(), "http" | "https") && url.has_host() && bare
}
