//! What portals show of connectors and connected channels.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Failure, line_of, target};
use crate::http::service::Service;
use crate::portals::boxed::command::Command;
use crate::portals::boxed::reply;
use crate::records::Portal;
use crate::store::directory;

/// Every real and virtual id; the portal offers a connector when its id is among them.
pub(super) fn list(service: &Service) -> Value {
    let mut ids = BTreeMap::new();
    for connector in service.factory.iter() {
        ids.insert(connector.name(), connector.name());
        for channel in connector.virtuals() {
            ids.insert(channel.id, channel.id);
        }
    }
    json!(ids)
}

pub(super) fn info(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let (_, settings) = line_of(service, portal, command)?;
    let (connector, _) = target(service, command)?;
    let info = connector.info(&settings);
    Ok(reply::ok(&json!({
        "id": crate::text::clean_html_value(&info.id), "name": crate::text::clean_html_value(&info.name),
        "url": info.url, "url_im": info.links.first().map_or(info.url.clone(), |(_, url)| url.clone()),
    })))
}

pub(super) fn info_link(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let (_, settings) = line_of(service, portal, command)?;
    let (connector, _) = target(service, command)?;
    let info = connector.info(&settings);
    let mut keys = BTreeMap::from([("ID", crate::text::clean_html_value(&info.id)), ("URL", info.url)]);
    for (channel, url) in info.links {
        if let Some(key) = reply::link_key(&channel) {
            keys.insert(key, url);
        }
    }
    Ok(reply::ok(&json!(keys)))
}

/// What the portal's site widgets link to, for every connector of one line.
pub(super) fn info_line(service: &Service, portal: &Portal, number: &str) -> Result<Value, Failure> {
    let db = service.reader().map_err(Failure::Http)?;
    let mut all = serde_json::Map::new();
    for line in directory::lines_of_portal(&db, portal.id)?.into_iter().filter(|line| line.line == number) {
        let settings = directory::settings(&db, line.id)?;
        let Some(connector) = service.factory.get(&line.connector).filter(|_| !settings.is_empty()) else { continue };
        let info = connector.info(&settings);
        for (channel, url) in info.links {
            let name = crate::text::clean_html_value(&info.name);
            all.insert(
                channel,
                json!({"id": crate::text::clean_html_value(&info.id), "url": url, "url_im": url, "name": name}),
            );
        }
    }
    Ok(reply::ok(&Value::Object(all)))
}
