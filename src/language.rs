//! The languages of the sentences that operators and administrators read (`language` in the configuration).

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Russian.
    Ru,
}
