//! An hour of everything at once: see README.md beside this folder.

pub mod dice;
pub mod drive;
pub mod ends;
pub mod house;
pub mod ledger;
pub mod load;
pub mod report;
pub mod schedule;
pub mod wires;
