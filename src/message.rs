//! Messages in the normal form that lies between channels and portals. Files are links, never bytes.
//! No serde here: what is stored is `queue`'s and `outbox`'s affair, what travels is the channels' and portals'.

/// What an incoming (channel → portal) row asks the portal to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IncomingKind {
    /// A new message.
    Message,
    /// New text for an earlier message, found by its external id.
    Update,
    /// The customer withdrew a message.
    Delete,
    /// The customer is typing (portals from version 23 on; others never get it).
    Typing,
}

/// A message from a customer, ready to be queued. Text is BB-code with Unicode emoji and is already harmless
/// (`portal-box.md` §10); the portal protocol adapts emoji to the portal's version when it posts.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// Virtual connector id as the portal knows it, e.g. `botframework.msteams`.
    pub connector: String,
    /// New, edited, deleted.
    pub kind: IncomingKind,
    /// Unique for the event within its line; `None` for an event without an id, which is never taken for a repeat.
    pub key: Option<String>,
    /// Who wrote.
    pub user: User,
    /// Where.
    pub chat: Chat,
    /// External id, at most 100 characters (`portal-box.md` §11).
    pub message_id: String,
    /// Unix seconds, as the channel says.
    pub date: Option<i64>,
    /// BB-code, Unicode emoji.
    pub text: String,
    /// Files as links.
    pub files: Vec<FileLink>,
    /// Locations, contacts.
    pub attachments: Vec<Attachment>,
    /// Bot Framework: what a portal stores for the way back (`portal-box.md` §4.4 `recipient`, `service_url`).
    pub route: Option<Route>,
}

/// The customer. Byte-stable from message to message, or the portal downloads the avatar each time (§4.5).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// External user id.
    pub id: String,
    /// First name, or the whole name.
    pub name: String,
    /// Last name, empty when unknown.
    pub last_name: String,
    /// Profile address.
    pub url: Option<String>,
    /// Avatar address.
    pub picture: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
}

/// The conversation as the portal knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chat {
    /// External chat id, without `|`.
    pub id: String,
    /// Link to the original post or thread.
    pub url: Option<String>,
    /// Shown once at the start of a session.
    pub description: Option<String>,
}

/// A file as a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileLink {
    /// Where the bytes are.
    pub url: String,
    /// File name, already safe.
    pub name: Option<String>,
    /// MIME type.
    pub mime: Option<String>,
    /// Only the channel's credentials open it: the portal is handed them with the packet.
    pub protected: bool,
}

/// What a portal renders itself (`portal-box.md` §4.4 `attachments[]`).
#[derive(Clone, Debug, PartialEq)]
pub enum Attachment {
    /// A point on the map.
    Location {
        /// Name of the place.
        title: String,
        /// Address.
        text: String,
        /// Degrees, as decimal text.
        latitude: String,
        /// Degrees, as decimal text.
        longitude: String,
    },
    /// A person's card.
    Contact {
        /// Name.
        name: String,
        /// Phone number.
        phone: String,
    },
}

/// What the portal is given to hand back with outgoing messages (Bot Framework only).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// The bot's account in the chat: id.
    pub recipient_id: String,
    /// The bot's account in the chat: name.
    pub recipient_name: String,
    /// The channel service's address for this chat.
    pub service_url: String,
}

/// What a later send into a chat needs; kept in `chats`, read only by the connector that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRecord {
    /// The chat's id as the portal knows it.
    pub chat: String,
    /// Virtual connector id.
    pub connector: String,
    /// The connector's own data, JSON.
    pub data: String,
    /// The bot was removed or blocked: nothing that an operator writes can arrive.
    pub closed: bool,
    /// Made from something the customer did. An event of the channel or of the bot itself knows less of the chat: it makes
    /// a missing record, and of one that is there it changes only the members that it names.
    pub by_customer: bool,
}

/// What a webhook came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    /// Messages to queue, in order.
    pub messages: Vec<Incoming>,
    /// Chats to remember.
    pub chats: Vec<ChatRecord>,
    /// Short ids that stand for long ones: `(short, long)`; kept so that a portal's edit finds its message.
    pub aliases: Vec<(String, String)>,
    /// Messages the customer has read: `(virtual connector, chat id, message id)`.
    pub read: Vec<(String, String, String)>,
}

/// The portal's own ids of an outgoing message; copied unchanged into the delivery status (`portal-box.md` §5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortalRef {
    /// `im.chat_id`.
    pub chat_id: String,
    /// `im.message_id`, unique per portal.
    pub message_id: String,
}

/// What an operator wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum OutgoingKind {
    /// A new message.
    Send {
        /// BB-code as the portal sent it, stubs already removed.
        text: String,
        /// Files as links.
        files: Vec<OutFile>,
    },
    /// New text for messages sent earlier.
    Update {
        /// External ids of the parts.
        ids: Vec<String>,
        /// BB-code.
        text: String,
    },
    /// Withdraw a message sent earlier.
    Delete {
        /// External id.
        id: String,
    },
    /// The operator is typing.
    Typing,
}

/// One command of a portal for one chat, ready for the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Virtual connector id.
    pub connector: String,
    /// The chat's id as the portal knows it.
    pub chat: String,
    /// The portal's own ids.
    pub im: PortalRef,
    /// What to do.
    pub kind: OutgoingKind,
    /// `service_url` that the portal handed back. It decides nothing: the address in our own record is used.
    pub service_url: Option<String>,
}

/// A file from an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFile {
    /// Shown name.
    pub name: String,
    /// The portal's link; up to version 18 it leads to an HTML page, not to the bytes (`portal-box.md` §5.1).
    pub link: String,
    /// The portal calls it an image.
    pub image: bool,
    /// MIME type where the portal tells (from Open Lines 19 on): then the link leads to the bytes.
    pub mime: Option<String>,
}

/// How far an outgoing message has come. Stored with its outbox row, so that a retry goes on where it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Calls done, of those that the connector makes of the message.
    pub parts: usize,
    /// External ids of what the customer sees of the message now, at most 100 characters each.
    pub ids: Vec<String>,
    /// What such an id stands for, where the id alone does not say it: `(id, the connector's own words)`.
    pub aliases: Vec<(String, String)>,
    /// Tries of the next call whose outcome is unknown: it may have been carried out.
    pub unknown: u32,
}

/// What the server tells a portal besides customers' messages. Queued and retried like them.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// An outgoing message has reached the channel.
    Delivered {
        /// The portal's ids.
        im: PortalRef,
        /// Chat id.
        chat: String,
        /// External ids of all parts.
        ids: Vec<String>,
        /// Unix seconds.
        date: i64,
    },
    /// The customer has read up to this message.
    Read {
        /// The portal's ids, when known.
        im: Option<PortalRef>,
        /// Chat id.
        chat: String,
        /// External ids.
        ids: Vec<String>,
        /// Unix seconds.
        date: i64,
    },
    /// An outgoing message has failed for good.
    Failed {
        /// The portal's ids.
        im: PortalRef,
        /// Chat id.
        chat: String,
        /// It was a deletion.
        deleting: bool,
        /// Stable code, e.g. `BLOCKED`.
        code: String,
        /// Sentence for the operator.
        text: String,
        /// Whose chat it is, as the portal knows the customer; `None` in groups and where nobody has written yet.
        customer: Option<Box<User>>,
    },
    /// Customers' messages were given up: the portal could not be reached, or did not take them.
    Lost {
        /// How many.
        messages: i64,
        /// When the first of them was accepted, unix seconds.
        since: i64,
        /// And the last.
        until: i64,
        /// Sentence for operators.
        text: String,
    },
    /// The external entity now belongs to another line.
    Deactivated,
}

/// What a queue row carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A customer's message.
    Message(Box<Incoming>),
    /// A notice of the server.
    Notice(Notice),
}
