//! A glob on paths, as the list of paths that no rule touches and routes have them.

use globset::{GlobBuilder, GlobSet};

use super::select::decode;

/// What has a meaning in a glob somewhere, other than standing for itself.
const SPECIAL: [char; 9] = ['?', '*', '[', ']', '{', '}', ',', '!', '\\'];

/// A glob on paths: `*` stays within a segment, `**` is any number of segments.
#[derive(Clone, Debug)]
pub struct PathGlob(Kind);

/// Most globs are one path or all below one. Those are compared as texts: compiled they took a
/// tenth of a start's instructions, and some hundreds of each call that rules look at.
#[derive(Clone, Debug)]
enum Kind {
    Whole(Box<str>),
    /// The path up to its `/**`, the slash included.
    Below(Box<str>),
    Pattern(GlobSet),
}

impl PathGlob {
    /// An error for what no path could be compared with, such as a class that does not end, and for
    /// what would take too much memory.
    pub fn new(text: &str) -> Result<Self, globset::Error> {
        let is_plain = |text: &str| !text.contains(SPECIAL);
        let below = text.strip_suffix("**").filter(|it| it.ends_with('/'));
        let kind = match below {
            _ if is_plain(text) => Kind::Whole(text.into()),
            Some(below) if is_plain(below) => Kind::Below(below.into()),
            _ => {
                let glob = GlobBuilder::new(text).literal_separator(true).build()?;
                Kind::Pattern(GlobSet::builder().add(glob).build()?)
            }
        };
        Ok(Self(kind))
    }

    pub fn is_match(&self, path: &str) -> bool {
        match &self.0 {
            Kind::Whole(whole) => **whole == *path,
            Kind::Below(beginning) => path.starts_with(&**beginning),
            Kind::Pattern(set) => set.is_match(path),
        }
    }
}

/// Whether one of the globs of paths that no rule touches is for this one. Also as the upstream will
/// read it: an escaped letter must not open a protected path.
pub fn is_never(never: &[PathGlob], path: &str) -> bool {
    let is_listed = |path: &str| never.iter().any(|it| it.is_match(path));
    is_listed(path)
        || (!never.is_empty()
            && path.contains('%')
            && is_listed(&String::from_utf8_lossy(&decode(path, false))))
}

#[cfg(test)]
mod tests {
    use globset::GlobSet;
    use proptest::prelude::*;

    use super::*;

    /// As the library alone tells it.
    fn compiled(text: &str, path: &str) -> Option<bool> {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let set = GlobSet::builder().add(glob.ok()?).build().ok()?;
        Some(set.is_match(path))
    }

    #[test]
    fn a_path_and_all_below_one_are_compared_as_texts() {
        let kind = |text| PathGlob::new(text).unwrap().0;
        assert!(matches!(kind("/healthz"), Kind::Whole(_)));
        assert!(matches!(kind("/v2/health/**"), Kind::Below(_)));
        assert!(matches!(kind("/v2/*/ready"), Kind::Pattern(_)));
        assert!(matches!(kind("/a/**/**"), Kind::Pattern(_)));
        assert!(matches!(kind("/a**"), Kind::Pattern(_)));
        assert!(matches!(kind("/**"), Kind::Below(_)));
        let below = PathGlob::new("/v2/health/**").unwrap();
        assert!(below.is_match("/v2/health/ready") && below.is_match("/v2/health/"));
        assert!(!below.is_match("/v2/health") && !below.is_match("/v2/healthy"));
        assert!(PathGlob::new("/v2/[").is_err());
        // What the library can read and not compile is an error too.
        let nested = format!("{}a{}", "{".repeat(300), "}".repeat(300));
        assert!(PathGlob::new(&nested).is_err());
        assert_eq!(compiled("*.", ".."), Some(false));
        assert!(!PathGlob::new("*.").unwrap().is_match(".."));
    }

    proptest! {
        #[test]
        fn every_glob_matches_what_the_library_says(
            text in "[/ab*?.]{0,8}|(/[ab]{1,2}){0,3}(/\\*\\*)?|[/ab\\[\\]{},!*\\\\]{0,8}",
            path in "[/ab.]{0,8}|(/[ab]{1,2}){0,4}/?",
        ) {
            let ours = PathGlob::new(&text).ok().map(|it| it.is_match(&path));
            prop_assert_eq!(ours, compiled(&text, &path), "{} on {}", text, path);
        }
    }
}
