//! What can be done at each channel, as a portal knows it (`portal-box.md` §7, `portal-box-observed.md` §8; edits and
//! deletions of Bot Framework channels: what those channels take).

/// What can be done at a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table of yes and no")]
pub struct Abilities {
    /// One conversation for all customers of a chat.
    pub group: bool,
    /// Operators may change what they wrote.
    pub edit: bool,
    /// Operators may take back what they wrote.
    pub delete: bool,
    /// The desk's own texts reach the customer.
    pub system: bool,
    /// An operator's name stands before each message.
    pub signature: bool,
}

/// What holds for a channel that the table does not name.
const USUAL: Abilities = Abilities { group: false, edit: false, delete: false, system: true, signature: true };

const TABLE: [(&str, Abilities); 11] = [
    ("telegrambot", Abilities { edit: true, ..USUAL }),
    ("viber", Abilities { signature: false, ..USUAL }),
    ("facebookcomments", Abilities { group: true, edit: true, delete: true, system: false, signature: false }),
    ("instagram", Abilities { group: true, delete: true, signature: false, ..USUAL }),
    ("botframework.msteams", Abilities { edit: true, delete: true, ..USUAL }),
    ("botframework.skype", Abilities { group: true, edit: true, ..USUAL }),
    ("botframework.slack", Abilities { group: true, edit: true, delete: true, ..USUAL }),
    ("botframework.telegram", Abilities { edit: true, ..USUAL }),
    ("botframework.groupme", Abilities { group: true, ..USUAL }),
    ("botframework.twilio", Abilities { system: false, signature: false, ..USUAL }),
    ("botframework.emailoffice365", Abilities { system: false, ..USUAL }),
];

impl Abilities {
    /// Those of a virtual connector.
    pub fn of(connector: &str) -> Self {
        TABLE.iter().find(|(id, _)| *id == connector).map_or(USUAL, |(_, abilities)| *abilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_its_own_or_the_usual_ones() {
        let teams = Abilities::of("botframework.msteams");
        assert!(teams.edit && teams.delete && !teams.group && teams.signature);
        assert!(!Abilities::of("botframework.twilio").system);
        assert_eq!(Abilities::of("botframework.new"), USUAL);
    }
}
