//! Locations and contacts, which portals render themselves. Channels put them into entities, attachments or their own
//! data.

use serde_json::Value;

use super::activity::{Activity, Attached, at};
use crate::message::Attachment;
use crate::text::clean_name;

/// Longest name or phone number of a contact.
const NAME_MAX: usize = 50;
/// Longest name or address of a place.
const PLACE_MAX: usize = 200;

/// Every location and contact of a message.
pub(super) fn find(activity: &Activity) -> Vec<Attachment> {
    let mut found = vec![];
    for entity in &activity.entities {
        let place = match at(entity, "/type").as_str() {
            "Place" => point(entity, entity.get("geo").unwrap_or(&Value::Null)),
            "GeoCoordinates" => point(entity, entity),
            _ => None,
        };
        add(&mut found, place);
    }
    for attached in activity.attachments.iter().filter(|attached| attached.content_type == "location") {
        add(&mut found, shared(attached));
    }
    let data = &activity.channel_data;
    // Since its platform version 6 Messenger's locations stand only here.
    for shared in data.pointer("/message/attachments").and_then(Value::as_array).into_iter().flatten() {
        if activity.channel_id == "facebook" && at(shared, "/type") == "location" {
            let payload = shared.get("payload").unwrap_or(&Value::Null);
            add(&mut found, point(shared, payload.get("coordinates").unwrap_or(&Value::Null)));
        }
    }
    let contact = data.pointer("/message/contact").filter(|_| activity.channel_id == "telegram");
    if let Some(contact) = contact {
        let name = format!("{} {}", at(contact, "/first_name"), at(contact, "/last_name"));
        let (name, phone) = (clean_name(&name, NAME_MAX), clean_name(&at(contact, "/phone_number"), NAME_MAX));
        found.push(Attachment::Contact { name, phone });
    }
    found
}

/// Whether an attachment is a location that [`find`] takes.
pub(super) fn is_place(attached: &Attached) -> bool {
    attached.content_type == "location" && shared(attached).is_some()
}

fn shared(attached: &Attached) -> Option<Attachment> {
    let place = point(&attached.content, attached.content.get("coordinates")?)?;
    let Attachment::Location { title, text, latitude, longitude } = place else { return None };
    let title = if title.is_empty() { clean_name(&attached.name, PLACE_MAX) } else { title };
    Some(Attachment::Location { title, text, latitude, longitude })
}

/// Adds a location unless the same point is there.
fn add(found: &mut Vec<Attachment>, place: Option<Attachment>) {
    let Some(place) = place else { return };
    let Attachment::Location { latitude, longitude, .. } = &place else { return };
    let same = |known: &Attachment| matches!(known, Attachment::Location { latitude: north, longitude: east, .. } if north == latitude && east == longitude);
    if !found.iter().any(same) {
        found.push(place);
    }
}

/// A point with numbers for coordinates; anything else is no location.
fn point(place: &Value, geo: &Value) -> Option<Attachment> {
    let number = |names: [&str; 2]| names.iter().map(|name| at(geo, name)).find(|text| !text.is_empty());
    let (latitude, longitude) = (number(["/latitude", "/lat"])?, number(["/longitude", "/long"])?);
    let (north, east): (f64, f64) = (latitude.parse().ok()?, longitude.parse().ok()?);
    if !(north.abs() <= 90.0 && east.abs() <= 180.0) {
        return None;
    }
    let title = clean_name(&words(place.get("name").or(place.get("title"))), PLACE_MAX);
    let text = clean_name(&words(place.get("address")), PLACE_MAX);
    Some(Attachment::Location { title, text, latitude, longitude })
}

/// A text, or the texts of an object such as a postal address.
fn words(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(members)) => {
            let texts = members.iter().filter(|(name, _)| *name != "type").filter_map(|(_, value)| value.as_str());
            texts.collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    }
}
