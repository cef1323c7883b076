//! Identifiers as types, so that a line is never taken for a portal. Nothing here knows a database or a network.

use std::fmt;

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id! {
    /// A row of `portals`.
    PortalId
}
row_id! {
    /// A row of `lines`. Not the portal's own line number, which is a string and repeats between portals.
    LineId
}
row_id! {
    /// A row of `queue` or `outbox`. Never reused (AUTOINCREMENT), so a cursor over ids never skips a message.
    MessageId
}

/// The part of a connector's id before the first dot, lower-cased: `botframework.Skype` → `botframework`
/// (`portal-box.md` §1). A dot in the first place separates nothing.
pub fn real_connector(id: &str) -> String {
    let end = id.char_indices().find(|&(at, char)| char == '.' && at > 0).map_or(id.len(), |(at, _)| at);
    id.get(..end).unwrap_or(id).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_id_is_what_stands_before_the_first_dot() {
        for (id, real) in [
            ("botframework", "botframework"),
            ("botframework.skype", "botframework"),
            ("BotFramework.Skype.x", "botframework"),
            (".odd", ".odd"),
            ("", ""),
        ] {
            assert_eq!(real_connector(id), real, "{id}");
        }
    }
}
