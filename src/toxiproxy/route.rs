//! Which route a path names. As Toxiproxy's router does it, on the path without its escapes: a
//! name cannot hold a slash, and a path is cleaned by a redirect before it is looked at.

use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What Go leaves as it is in a path.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Metrics,
    Populate,
    Proxies,
    Proxy(String),
    Reset,
    Toxic(String, String),
    Toxics(String),
    Version,
}

impl Route {
    /// The route of a path that is plain and clean.
    pub(super) fn of(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        if segments.iter().any(|it| it.is_empty()) {
            return None;
        }
        let owned = str::to_owned;
        Some(match *segments {
            ["metrics"] => Self::Metrics,
            ["populate"] => Self::Populate,
            ["proxies"] => Self::Proxies,
            ["proxies", proxy] => Self::Proxy(owned(proxy)),
            ["reset"] => Self::Reset,
            ["proxies", proxy, "toxics", toxic] => Self::Toxic(owned(proxy), owned(toxic)),
            ["proxies", proxy, "toxics"] => Self::Toxics(owned(proxy)),
            ["version"] => Self::Version,
            _ => return None,
        })
    }

    pub(super) fn takes(&self, method: &Method) -> bool {
        match self {
            Self::Metrics => true,
            Self::Version => *method == Method::GET,
            Self::Populate | Self::Reset => *method == Method::POST,
            Self::Proxies | Self::Toxics(_) => [Method::GET, Method::POST].contains(method),
            Self::Proxy(_) | Self::Toxic(..) => {
                [Method::GET, Method::POST, Method::PATCH, Method::DELETE].contains(method)
            }
        }
    }

    /// Whether what it does with this method reads a body.
    pub(super) fn reads(&self, method: &Method) -> bool {
        !matches!(self, Self::Metrics | Self::Reset | Self::Version)
            && [Method::POST, Method::PATCH].contains(method)
    }
}

/// A path without its escapes.
pub(super) fn plain(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// Where a client is sent whose path has empty or dotted segments.
pub(super) fn cleaned(path: &str, query: Option<&str>) -> Option<String> {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut clean = format!("/{}", kept.join("/"));
    if path.ends_with('/') && clean != "/" {
        clean.push('/');
    }
    if clean == path {
        return None;
    }
    let mut location = utf8_percent_encode(&clean, PATH).to_string();
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    Some(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_routes() {
        let proxy = |name: &str| Some(Route::Proxy(name.to_owned()));
        assert_eq!(Route::of("/proxies"), Some(Route::Proxies));
        assert_eq!(Route::of("/proxies/a b"), proxy("a b"));
        assert_eq!(
            Route::of("/proxies/a/toxics/b"),
            Some(Route::Toxic("a".to_owned(), "b".to_owned()))
        );
        for none in [
            "/",
            "/proxies/",
            "/proxies/a/",
            "/Proxies",
            "/proxies/a/b",
            "*",
        ] {
            assert_eq!(Route::of(none), None, "{none}");
        }
        // An escaped slash is a slash.
        assert_eq!(Route::of(&plain("/proxies/a%2Fb")), None);
        assert_eq!(Route::of(&plain("/proxies/%61")), proxy("a"));
    }

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, clean) in [
            ("/proxies", None),
            ("/proxies/", None),
            ("/", None),
            ("//proxies", Some("/proxies")),
            ("/a/../proxies/./b", Some("/proxies/b")),
            ("/a//", Some("/a/")),
            ("/../a b", Some("/a%20b")),
        ] {
            assert_eq!(cleaned(path, None).as_deref(), clean, "{path}");
        }
        assert_eq!(cleaned("//a", Some("b=c")).as_deref(), Some("/a?b=c"));
    }
}
