//! What the wiring lends to modules that may not know the database: a shelf to the connectors, the connectors'
//! credentials to the delivery workers.

use std::sync::Arc;

use crate::channels::{Factory, Shelf};
use crate::ids::LineId;
use crate::portals::files::{Headers, Opener};
use crate::store::readers::Readers;
use crate::store::{Store, Writer, directory};

/// The shelf of the connectors, kept in the database.
#[derive(Debug)]
pub struct StoreShelf {
    store: Store,
    writer: Writer,
}

impl StoreShelf {
    /// A shelf in `store`.
    pub fn new(store: Store, writer: Writer) -> Self {
        Self { store, writer }
    }
}

impl Shelf for StoreShelf {
    fn get(&self, name: &str) -> Option<String> {
        let db = self.store.reading().ok()?;
        directory::shelf_get(&db, name).ok()?
    }

    fn put(&self, name: &str, text: &str) {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.writer.submit(
            move |tx| directory::shelf_put(tx, &name, &text),
            |result| {
                if let Err(error) = result {
                    log::warn!(error:% = error; "the shelf could not be written; after a restart it is fetched anew");
                }
            },
        );
    }
}

/// Opens protected files with the credentials of the line they came in on.
#[derive(Debug)]
pub struct Files {
    readers: Readers,
    factory: Arc<Factory>,
}

impl Files {
    /// Reads lines and settings through `readers`.
    pub fn new(readers: Readers, factory: Arc<Factory>) -> Self {
        Self { readers, factory }
    }

    fn ask(&self, line: LineId, url: &str) -> Result<Headers, String> {
        const GONE: &str = "the line has no channel any more";
        let (connector, settings) = {
            let db = self.readers.get().map_err(|error| error.to_string())?;
            let record = directory::line_by_id(&db, line).map_err(|error| error.to_string())?;
            let settings = directory::settings(&db, line).map_err(|error| error.to_string())?;
            (record.ok_or(GONE)?.connector, settings)
        };
        self.factory.get(&connector).filter(|_| !settings.is_empty()).ok_or(GONE)?.file_headers(&settings, url)
    }
}

impl Opener for Files {
    fn headers(&self, line: LineId, url: &str) -> Option<Headers> {
        let asked = self.ask(line, url);
        if let Err(error) = &asked {
            log::warn!(line:% = line, error = error.as_str(); "a file can't be opened for the portal; its link stands in the text");
        }
        asked.ok()
    }
}
