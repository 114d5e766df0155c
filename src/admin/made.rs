//! The token of an admin listener on loopback for which none is configured: made at start, and
//! written where nobody but the user who runs it reads it, and where the command line looks.
//!
//! Every such user has a folder for what runs now. It holds one entry for each admin address: the
//! token, or a link to the file that holds it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::admin::socket::AdminAddress;
use crate::config::parse_tokens;
use crate::units::hex;

/// In the state directory, where it outlives the process.
const FILE: &str = "admin.token";

/// Where a token may be left.
#[derive(Clone, Debug, Default)]
pub struct TokenFolders {
    pub state_dir: Option<PathBuf>,
    /// [`runtime_folder`].
    pub runtime: Option<PathBuf>,
}

/// The folder for what the user runs now: `hormesis` in `XDG_RUNTIME_DIR` or `/run/user/UID`, else
/// `hormesis-UID` in `TMPDIR` or `/tmp`. It need not be there yet.
pub fn runtime_folder(environment: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    let given = environment("XDG_RUNTIME_DIR").map(PathBuf::from);
    let login = || Some(PathBuf::from(format!("/run/user/{uid}")));
    let own = |it: &PathBuf| it.is_absolute() && fs::metadata(it).is_ok_and(|it| it.uid() == uid);
    if let Some(folder) = given.filter(own).or_else(|| login().filter(own)) {
        return folder.join("hormesis");
    }
    let shared = environment("TMPDIR").map_or_else(|| "/tmp".into(), PathBuf::from);
    shared.join(format!("hormesis-{uid}"))
}

/// Where in the runtime folder the token of the admin listener at `address` stands, or a link to
/// it.
pub fn token_entry(runtime: &Path, address: &AdminAddress) -> PathBuf {
    runtime.join(format!("{address}.token"))
}

/// Whether a runtime folder is the user's own and nobody else's: in a shared place anybody could
/// have made one of its name.
///
/// # Errors
/// Where it is not there, or another's, or others can write to it or read it.
pub fn check_runtime_folder(folder: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(folder)?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_dir() || !own || metadata.mode() & 0o077 != 0 {
        return Err(io::Error::other(
            "it is not a folder that is this user's alone",
        ));
    }
    Ok(())
}

/// An entry of the runtime folder; removed when this is dropped.
#[derive(Debug)]
pub(super) struct Entry(PathBuf);

impl Drop for Entry {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the entry of the token could not be removed");
        }
    }
}

/// A token, and the file that holds it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) secret: String,
    pub(super) file: PathBuf,
    /// Present where it can be found by the address.
    pub(super) entry: Option<Entry>,
}

/// Makes a token, or takes the one that an earlier start has left in the state directory.
///
/// # Errors
/// Where there is no place to leave it, or no randomness.
pub(super) fn make(folders: &TokenFolders, address: &AdminAddress) -> io::Result<Made> {
    if let Some(dir) = &folders.state_dir {
        let file = dir.join(FILE);
        let secret = match kept(&file)? {
            Some(secret) => secret,
            None => write(&file, &random()?)?,
        };
        let entry = point(folders, address, &file);
        return Ok(Made {
            secret,
            file,
            entry,
        });
    }
    let runtime = folders.runtime.as_deref().ok_or(io::ErrorKind::NotFound)?;
    own(runtime)?;
    let file = token_entry(runtime, address);
    let secret = write(&file, &random()?)?;
    Ok(Made {
        secret,
        entry: Some(Entry(file.clone())),
        file,
    })
}

/// Leaves a link to the file that holds the token, for the command line; without it the file has
/// to be named there.
pub(super) fn point(folders: &TokenFolders, address: &AdminAddress, file: &Path) -> Option<Entry> {
    let runtime = folders.runtime.as_deref()?;
    let entry = token_entry(runtime, address);
    let linked = own(runtime)
        .and_then(|()| fs::canonicalize(file))
        .and_then(|target| replace(&entry, |fresh| symlink(&target, fresh)));
    match linked {
        Ok(()) => Some(Entry(entry)),
        Err(error) => {
            tracing::warn!(path = %entry.display(), %error, "no link to the admin token: the command line needs --token-file");
            None
        }
    }
}

/// The token that a file holds, where it is the user's own and nobody else reads it.
fn kept(file: &Path) -> io::Result<Option<String>> {
    let metadata = match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_file() || !own || metadata.mode() & 0o077 != 0 {
        tracing::warn!(path = %file.display(), "others could have read the admin token: another is made");
        return Ok(None);
    }
    let text = fs::read_to_string(file)?;
    let token = parse_tokens(&text).ok();
    Ok(token.and_then(|it| it.first().map(|it| (*it).to_owned())))
}

/// 256 bits in hexadecimal digits.
fn random() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex(&bytes))
}

fn write(file: &Path, secret: &str) -> io::Result<String> {
    replace(file, |fresh| {
        let mut options = OpenOptions::new();
        options.create_new(true).write(true).mode(0o600);
        writeln!(options.open(fresh)?, "{secret}")
    })?;
    Ok(secret.to_owned())
}

/// Makes a file beside, and puts it in the place of the one that may be there.
fn replace(file: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    make(&fresh)?;
    fs::rename(&fresh, file)
}

/// Makes the runtime folder, or takes it where it is the user's own.
fn own(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => check_runtime_folder(folder),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn address() -> AdminAddress {
        AdminAddress::Tcp("127.0.0.1:9901".parse().unwrap())
    }

    #[test]
    fn without_a_state_directory_it_stands_in_the_runtime_folder_for_as_long_as_it_is_good() {
        let dir = tempfile::tempdir().unwrap();
        let folders = TokenFolders {
            state_dir: None,
            runtime: Some(dir.path().join("hormesis")),
        };
        let made = make(&folders, &address()).unwrap();
        let file = dir.path().join("hormesis/127.0.0.1:9901.token");
        assert_eq!(made.file, file);
        assert_eq!(
            (mode(&file), mode(&dir.path().join("hormesis"))),
            (0o600, 0o700)
        );
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), made.secret);
        assert!(
            parse_tokens(&made.secret).is_ok(),
            "it passes its own check"
        );
        let again = make(&folders, &address()).unwrap();
        assert_ne!(again.secret, made.secret);
        drop(again);
        assert!(!file.exists());
    }

    #[test]
    fn in_a_state_directory_it_outlives_the_process_and_is_pointed_to() {
        let dir = tempfile::tempdir().unwrap();
        let folders = TokenFolders {
            state_dir: Some(dir.path().to_owned()),
            runtime: Some(dir.path().join("run")),
        };
        let made = make(&folders, &address()).unwrap();
        let (file, entry) = (
            dir.path().join("admin.token"),
            token_entry(&dir.path().join("run"), &address()),
        );
        assert_eq!((&made.file, mode(&file)), (&file, 0o600));
        assert_eq!(fs::read_to_string(&entry).unwrap().trim(), made.secret);
        let secret = made.secret.clone();
        drop(made);
        assert!(file.exists() && fs::symlink_metadata(&entry).is_err());
        assert_eq!(make(&folders, &address()).unwrap().secret, secret);
        // Once others could read it, it is a secret no more.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(make(&folders, &address()).unwrap().secret, secret);
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_folder_that_others_made_or_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("shared");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let folders = TokenFolders {
            state_dir: None,
            runtime: Some(folder.clone()),
        };
        assert!(make(&folders, &address()).is_err());
        let link = dir.path().join("link");
        symlink(dir.path(), &link).unwrap();
        assert!(check_runtime_folder(&link).is_err());
        assert!(make(&TokenFolders::default(), &address()).is_err());
    }

    #[test]
    fn the_runtime_folder_is_the_users() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().display().to_string();
        let of = |name: &'static str, value: &str| {
            let value = value.to_owned();
            runtime_folder(&move |asked: &str| (asked == name).then(|| value.clone()))
        };
        assert_eq!(of("XDG_RUNTIME_DIR", &own), dir.path().join("hormesis"));
        // One that is not there is none.
        assert_ne!(
            of("XDG_RUNTIME_DIR", "/nowhere/at/all"),
            PathBuf::from("/nowhere/at/all/hormesis")
        );
    }
}
