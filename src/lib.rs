//! Trunkline: a connector server that carries messages between channels and portals and loses none.

pub mod app;
pub mod bench;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod desk;
pub mod dispatcher;
pub mod doctor;
pub mod fault;
pub mod http;
pub mod ids;
pub mod language;
pub mod logging;
pub mod message;
pub mod metrics;
pub mod net;
pub mod outbox;
pub mod portals;
pub mod queue;
pub mod records;
pub mod registry;
pub mod secret;
pub mod sender;
pub mod sim;
pub mod simulate;
pub mod store;
pub mod text;
pub mod trace;

pub use cli::{ExitCode, run};
