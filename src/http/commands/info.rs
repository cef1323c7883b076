//! What portals show of connectors and connected channels.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Failure, line_of, reader, target};
use crate::channels::ConnectInfo;
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

/// What may be printed of a connected channel.
fn shown(info: &ConnectInfo) -> ConnectInfo {
    let links = info.links.iter();
    ConnectInfo {
        id: reply::printable(&info.id),
        name: reply::printable(&info.name),
        url: reply::printable_url(&info.url).unwrap_or_default(),
        links: links.filter_map(|(channel, url)| Some((channel.clone(), reply::printable_url(url)?))).collect(),
    }
}

/// The channel that a command names.
fn connected(service: &Service, portal: &Portal, command: &Command) -> Result<ConnectInfo, Failure> {
    let (_, settings) = line_of(service, portal, command)?;
    let (connector, _) = target(service, command)?;
    Ok(shown(&connector.info(&settings)))
}

pub(super) fn info(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let info = connected(service, portal, command)?;
    let chat = info.links.first().map_or(&info.url, |(_, url)| url);
    Ok(reply::ok(&json!({"id": info.id, "name": info.name, "url": info.url, "url_im": chat})))
}

pub(super) fn info_link(service: &Service, portal: &Portal, command: &Command) -> Result<Value, Failure> {
    let info = connected(service, portal, command)?;
    let mut keys = BTreeMap::from([("ID", info.id), ("URL", info.url)]);
    for (channel, url) in info.links {
        if let Some(key) = reply::link_key(&channel) {
            keys.insert(key, url);
        }
    }
    Ok(reply::ok(&json!(keys)))
}

/// What the portal's site widgets link to, for every connector of one line.
pub(super) fn info_line(service: &Service, portal: &Portal, number: &str) -> Result<Value, Failure> {
    let db = reader(service)?;
    let mut all = serde_json::Map::new();
    for line in directory::lines_of_portal(&db, portal.id)?.into_iter().filter(|line| line.line == number) {
        let settings = directory::settings(&db, line.id)?;
        let Some(connector) = service.factory.get(&line.connector).filter(|_| !settings.is_empty()) else { continue };
        let info = shown(&connector.info(&settings));
        for (channel, url) in info.links {
            all.insert(channel, json!({"id": info.id, "url": url, "url_im": url, "name": info.name}));
        }
    }
    Ok(reply::ok(&Value::Object(all)))
}
