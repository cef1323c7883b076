//! Read-only connections for the request workers: one each while they need it, kept for the next.

use std::ops::Deref;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::{Store, StoreError};

/// A shelf of idle readers. Grows to as many as are used at once, at most to its size.
#[derive(Clone, Debug)]
pub struct Readers {
    store: Store,
    put: Sender<Connection>,
    take: Receiver<Connection>,
}

impl Readers {
    /// An empty shelf for `size` idle readers.
    pub fn new(store: Store, size: usize) -> Self {
        let (put, take) = bounded(size);
        Self { store, put, take }
    }

    /// An idle reader, or a new one.
    pub fn get(&self) -> Result<Reader, StoreError> {
        let db = match self.take.try_recv() {
            Ok(db) => db,
            Err(_) => self.store.reading()?,
        };
        Ok(Reader { db: Some(db), put: self.put.clone() })
    }
}

/// A borrowed reader; goes back to the shelf when dropped.
#[derive(Debug)]
pub struct Reader {
    db: Option<Connection>,
    put: Sender<Connection>,
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.db.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(db) = self.db.take() {
            // A full shelf closes it.
            drop(self.put.try_send(db));
        }
    }
}
