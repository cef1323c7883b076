//! An hour of everything at once: see README.md beside this folder.

pub mod channel;
pub mod dice;
pub mod drive;
pub mod ends;
pub mod house;
pub mod judge;
pub mod ledger;
pub mod load;
pub mod portal;
pub mod report;
pub mod schedule;
pub mod wires;
