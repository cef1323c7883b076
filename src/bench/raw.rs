//! The disk without a database: 4 KB written over what is there, and synced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::{Series, Until};

const BLOCK: usize = 4096;
/// The file is written in a circle, as the database's log is.
const BLOCKS: u64 = 256;
/// Most syncs of a slice: on a file system in memory they would fill it with samples.
const SYNCS_MAX: usize = 200_000;

/// The file that is written over.
#[derive(Debug)]
pub(super) struct Raw {
    file: File,
    written: u64,
}

impl Raw {
    /// Makes the file at its full length, so that no measured sync has to note a new one.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).write(true).open(folder.join("raw"))?;
        let mut raw = Self { file, written: 0 };
        for _ in 0..BLOCKS {
            raw.write()?;
        }
        raw.file.sync_all()?;
        Ok(raw)
    }

    /// No block is like another: there are disks that save themselves a write.
    fn write(&mut self) -> io::Result<()> {
        let mut block = [0; BLOCK];
        for (word, number) in block.chunks_exact_mut(8).zip(self.written..) {
            word.copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
        }
        let at = self.written % BLOCKS * BLOCK as u64;
        self.written += 1;
        self.file.write_all_at(&block, at)
    }

    /// Writes and syncs until it is over, once at least.
    pub(super) fn slice(&mut self, until: &Until) -> io::Result<Series> {
        let mut each: Vec<Duration> = Vec::new();
        let begin = until.clock.ticks();
        let mut last = begin;
        while each.is_empty() || (!until.is_over() && each.len() < SYNCS_MAX) {
            self.write()?;
            self.file.sync_data()?;
            let now = until.clock.ticks();
            each.push(now.saturating_sub(last));
            last = now;
        }
        Ok(Series { each, took: last.saturating_sub(begin) })
    }
}
