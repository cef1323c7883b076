//! A portal's new public address.

use serde_json::{Value, json};

use super::{Failure, Refused, not_connected};
use crate::http::service::Service;
use crate::portals::boxed::reply;
use crate::portals::protocol;
use crate::records::Portal;
use crate::sender::Event;
use crate::store::directory;

/// A new public address is stored only after the portal has answered there with its own key (`portal-box.md` §10).
pub(super) fn save_domain(service: &Service, portal: &Portal, url: &str) -> Result<Value, Failure> {
    const PREFIX: &str = "IM_CONNECTOR_SERVER_ERROR_";
    let refuse = |tail: &str, why: String| Failure::from(Refused::new(&format!("{PREFIX}{tail}"), why));
    let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(parsed) = parsed else {
        return Err(refuse("PUBLIC_URL_MALFORMED", "the address can't be read".to_owned()));
    };
    let mut moved = portal.clone();
    parsed.as_str().trim_end_matches('/').clone_into(&mut moved.url);
    if moved.url == portal.url {
        return Ok(reply::ok(&json!({})));
    }
    // The address came in a message: where it may lead is decided by the rule for learned addresses, unless the host is
    // the one the administrator wrote.
    let same_host = url::Url::parse(&portal.url).is_ok_and(|known| known.host() == parsed.host());
    if !same_host {
        service
            .net
            .call(crate::net::Call::probe(&moved.url))
            .map_err(|error| refuse("PUBLIC_URL_FAIL", error.to_string()))?;
    }
    let Some(protocol) = protocol(&portal.protocol) else { return Err(not_connected()) };
    protocol
        .test(service.net.as_ref(), &moved, probe_connector(service), "0")
        .map_err(|error| refuse("PUBLIC_URL_CONNECT_ERROR", error.to_string()))?;
    let (id, to) = (portal.id, moved.url);
    let who = format!("portal {}", portal.name);
    service.writer.write(service.commit_wait, move |tx| {
        directory::move_portal(tx.db(), id, &to)?;
        directory::journal(tx, &who, "portal moved", None, &to)
    })?;
    service.sender.tell(Event::Changed);
    Ok(reply::ok(&json!({})))
}

/// `CONNECTOR` of a request that is about no connector must still not be empty.
fn probe_connector(service: &Service) -> &'static str {
    service.factory.iter().next().map_or("all", |connector| connector.name())
}
