//! Where is measured: the data directory, or the nearest folder above it that is there, and what kind of file system
//! that lies on.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{statfs, statvfs};
use tempfile::TempDir;

use super::{BenchError, stored};
use crate::store::look;

/// What is left to a server on the same disk: below this it takes no more messages.
const RESERVE: u64 = 64 * 1024 * 1024;

/// What a file system's word is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On a disk, as far as can be told.
    Disk,
    /// In memory: gone with the power.
    Memory,
    /// On another machine.
    Network,
    /// A program behind FUSE decides.
    Program,
}

/// Those whose number (`statfs`) tells something, and the usual ones, for their names.
const KINDS: &[(u64, &str, Kind)] = &[
    (0xef53, "ext4", Kind::Disk),
    (0x5846_5342, "xfs", Kind::Disk),
    (0x9123_683e, "btrfs", Kind::Disk),
    (0x2fc1_2fc1, "zfs", Kind::Disk),
    (0xf2f5_2010, "f2fs", Kind::Disk),
    (0x794c_7630, "overlay", Kind::Disk),
    (0x0102_1994, "tmpfs", Kind::Memory),
    (0x8584_58f6, "ramfs", Kind::Memory),
    (0x6969, "NFS", Kind::Network),
    (0x517b, "SMB", Kind::Network),
    (0xff53_4d42, "SMB", Kind::Network),
    (0xfe53_4d42, "SMB", Kind::Network),
    (0x0102_1997, "9p", Kind::Network),
    (0x00c3_6400, "Ceph", Kind::Network),
    (0x0bd0_0bd0, "Lustre", Kind::Network),
    (0x4750_4653, "GPFS", Kind::Network),
    (0x5346_414f, "AFS", Kind::Network),
    (0x6573_5546, "FUSE", Kind::Program),
];

/// A folder whose disk can be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The data directory, or the nearest that is there.
    pub folder: PathBuf,
    /// The file system's name, where it is known.
    pub file_system: Option<&'static str>,
    /// What its word is worth.
    pub kind: Kind,
    /// A server works in the data directory.
    pub is_served: bool,
}

impl Place {
    /// The place where the database of `data_dir` lies or would lie.
    pub fn of(data_dir: &Path) -> Result<Self, BenchError> {
        let folder = nearest(data_dir)?;
        let refused = |error: rustix::io::Errno| BenchError::Folder { path: folder.clone(), why: error.into() };
        let known = statfs(&folder).map_err(refused)?.f_type;
        // The kernel's type is signed and as wide as the machine's word; the numbers have 32 bits.
        let known = u64::try_from(known & 0xffff_ffff).unwrap_or_default();
        let (file_system, kind) = KINDS
            .iter()
            .find(|(number, ..)| *number == known)
            .map_or((None, Kind::Disk), |(_, name, kind)| (Some(*name), *kind));
        Ok(Self { is_served: look::is_served(data_dir), file_system, kind, folder })
    }

    /// Makes the folder in which is measured; it vanishes with what is returned. Inside the data directory, which may be
    /// a mount point, so that beside it would be another disk.
    pub(super) fn make(&self) -> Result<TempDir, BenchError> {
        let refused = |why| BenchError::Folder { path: self.folder.clone(), why };
        let folder = tempfile::Builder::new().prefix(".bench-").tempdir_in(&self.folder).map_err(|error| {
            // The name that was tried says nothing to anybody.
            refused(error.raw_os_error().map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error))
        })?;
        let disk = statvfs(folder.path()).map_err(|error| refused(error.into()))?;
        let (left, needed) = (disk.f_bavail.saturating_mul(disk.f_frsize), stored::BYTES_MAX + RESERVE);
        if left < needed {
            return Err(BenchError::Full { path: self.folder.clone(), left, needed });
        }
        Ok(folder)
    }
}

/// The folder itself, or the nearest above it. Only what is not there is passed over: a folder that may not be entered
/// can lie on another disk than the one above.
fn nearest(data_dir: &Path) -> Result<PathBuf, BenchError> {
    let refused = |path: &Path, why| BenchError::Folder { path: path.to_owned(), why };
    for folder in data_dir.ancestors() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match std::fs::metadata(folder) {
            Ok(found) if found.is_dir() => return Ok(folder.to_owned()),
            Ok(_) => return Err(refused(folder, ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            Err(error) => return Err(refused(folder, error)),
        }
    }
    Err(refused(data_dir, ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_that_is_there() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(nearest(home.path()).unwrap(), home.path());
        assert_eq!(nearest(&home.path().join("a/b")).unwrap(), home.path());
        assert_eq!(nearest(Path::new("nowhere-at-all/b")).unwrap(), Path::new("."));
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let error = nearest(&path).unwrap_err();
            assert!(matches!(error, BenchError::Folder { .. }), "{error}");
        }
    }

    #[test]
    fn no_number_stands_twice() {
        let numbers: std::collections::BTreeSet<_> = KINDS.iter().map(|(number, ..)| number).collect();
        assert_eq!(numbers.len(), KINDS.len());
    }
}
