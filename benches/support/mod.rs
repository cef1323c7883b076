//! What the measurements share: the real program as a process, a portal that costs little, a load, a filled database,
//! and what the machine says about them.

#![allow(dead_code, reason = "each benchmark uses its own part")]

pub mod fill;
pub mod histogram;
pub mod load;
pub mod machine;
pub mod portal;
pub mod process;
pub mod server;
pub mod wire;
