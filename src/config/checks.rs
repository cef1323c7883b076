//! Rules that no single key can check.

use super::kinds::Draft;
use super::mistakes::{Mistake, Origin};
use super::{Listen, TlsFiles, units};

/// Checks the whole and completes it. `origin` says where a key was set, `None` when it has its default or is unset.
pub(super) fn across(draft: &mut Draft, origin: &dyn Fn(&str) -> Option<Origin>) -> Vec<Mistake> {
    let mut mistakes = vec![];
    let mut wrong = |path: &str, what: String| {
        mistakes.push(Mistake { origin: origin(path).unwrap_or(Origin::Default), what });
    };
    let (cert, key) = ("tls.cert_file", "tls.key_file");
    for (given, missing) in [(cert, key), (key, cert)] {
        if origin(given).is_some() && origin(missing).is_none() {
            wrong(given, format!("`{given}` needs `{missing}` beside it"));
        }
    }
    let config = &mut draft.config;
    if let (Some(cert_file), Some(key_file)) = (draft.cert_file.take(), draft.key_file.take()) {
        config.tls = Some(TlsFiles { cert_file, key_file });
    }
    for (at, pair) in config.retry.blocks.windows(2).enumerate() {
        if let [before, after] = pair
            && after < before
        {
            let (before, after) = (units::show_duration(*before), units::show_duration(*after));
            let which = at.saturating_add(2);
            wrong(
                "retry.blocks",
                format!("`retry.blocks`: block {which} ({after}) is shorter than the one before ({before})"),
            );
        }
    }
    if !config.bot_framework.authentication_required && !config.listen.is_local() {
        let what = "`bot_framework.authentication` = \"off\" is taken only when `listen` is a loopback address or a \
                    UNIX socket";
        wrong("bot_framework.authentication", format!("{what}, not {}", config.listen));
    }
    let any_port = matches!(config.listen, Listen::Tcp(address) if address.port() == 0);
    if config.listen == config.admin_listen && !any_port {
        wrong("admin_listen", format!("`admin_listen` must differ from `listen`, both are {}", config.listen));
    }
    mistakes
}
