//! Locations and contacts, which portals render themselves. Channels put them into entities, attachments or their own
//! data.

use serde_json::Value;

use super::activity::{Activity, at};
use crate::message::Attachment;
use crate::text::clean_name;

/// Longest name or phone number of a contact.
const NAME_MAX: usize = 50;
/// Longest name or address of a place.
const PLACE_MAX: usize = 200;

/// Every location and contact of a message.
pub(super) fn find(activity: &Activity) -> Vec<Attachment> {
    let entities = activity.entities.iter().filter_map(|entity| match at(entity, "/type").as_str() {
        "Place" => point(entity, entity.get("geo").unwrap_or(&Value::Null)),
        "GeoCoordinates" => point(entity, entity),
        _ => None,
    });
    let mut found: Vec<Attachment> = entities.collect();
    found.dedup();
    let data = &activity.channel_data;
    let contact = data.pointer("/message/contact").filter(|_| activity.channel_id == "telegram");
    if let Some(contact) = contact {
        let name = format!("{} {}", at(contact, "/first_name"), at(contact, "/last_name"));
        let (name, phone) = (clean_name(&name, NAME_MAX), clean_name(&at(contact, "/phone_number"), NAME_MAX));
        found.push(Attachment::Contact { name, phone });
    }
    found
}

/// A point with numbers for coordinates; anything else is no location.
fn point(place: &Value, geo: &Value) -> Option<Attachment> {
    let (latitude, longitude) = (at(geo, "/latitude"), at(geo, "/longitude"));
    let (north, east): (f64, f64) = (latitude.parse().ok()?, longitude.parse().ok()?);
    if !(north.abs() <= 90.0 && east.abs() <= 180.0) {
        return None;
    }
    let title = clean_name(&at(place, "/name"), PLACE_MAX);
    let text = clean_name(&at(place, "/address"), PLACE_MAX);
    Some(Attachment::Location { title, text, latitude, longitude })
}
