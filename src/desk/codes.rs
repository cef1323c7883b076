//! Codes of refusals that a portal's door gives (`portal-box.md` §4.3, §4.6).

/// The request is no form of the protocol.
pub const HASH_EMPTY: &str = "HASH_EMPTY";
/// The signature is wrong.
pub const LICENCE_ERROR: &str = "LICENCE_ERROR";
/// The portal's version knows no such command.
pub const NO_SUCH_COMMAND: &str = "IMCONNECTOR_NOT_SPECIFIED_CORRECT_COMMAND";
/// The connector is not switched on for that line.
pub const NOT_ACTIVE_LINE: &str = "NOT_ACTIVE_LINE";
/// The desk could not keep what the server said; it will say it again.
pub const NOT_STORED: &str = "NOT_STORED";
/// The packet was kept and is not confirmed, on demand.
pub const NOT_CONFIRMED: &str = "NOT_CONFIRMED_ON_DEMAND";
