//! Operations by method and path, after the `v2` segment. A gateway may put a prefix before it.

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

/// The names of all operations.
pub(super) const OPERATIONS: &[&str] = &[
    "generate",
    "generate_stream",
    "infer",
    "log.settings",
    "model.config",
    "model.list",
    "model.metadata",
    "model.ready",
    "model.statistics",
    "repository.index",
    "repository.load",
    "repository.unload",
    "server.live",
    "server.metadata",
    "server.ready",
    "shared_memory",
    "trace.settings",
];

/// What a method and a path say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) model: Option<String>,
    pub(super) version: Option<String>,
}

/// The operation of a request; `None` where the protocol has none at that path.
pub(super) fn find(method: &str, path: &str) -> Option<Operation> {
    let mut segments = path.split('/').filter(|it| !it.is_empty());
    segments.find(|&it| it == "v2")?;
    let rest: SmallVec<[&str; 8]> = segments.collect();
    if let ["models", model, rest @ ..] = rest.as_slice()
        && !(*model == "stats" && rest.is_empty())
    {
        return of_model(method, model, rest);
    }
    if let ["repository", "models", model, act] = rest.as_slice() {
        let name = match (method, *act) {
            ("POST", "load") => "repository.load",
            ("POST", "unload") => "repository.unload",
            _ => return None,
        };
        return Some(Operation {
            name,
            model: Some(decoded(model)),
            version: None,
        });
    }
    of_server(method, &rest).map(|name| Operation {
        name,
        ..Operation::default()
    })
}

fn of_server(method: &str, path: &[&str]) -> Option<&'static str> {
    Some(match (method, path) {
        ("GET", []) => "server.metadata",
        ("GET", ["health", "live"]) => "server.live",
        ("GET", ["health", "ready"]) => "server.ready",
        ("GET", ["models"]) => "model.list",
        ("GET", ["models", "stats"]) => "model.statistics",
        // The specification has POST; Triton takes GET as well.
        ("GET" | "POST", ["repository", "index"]) => "repository.index",
        ("GET" | "POST", ["trace", "setting"]) => "trace.settings",
        ("GET" | "POST", ["logging"]) => "log.settings",
        (_, ["systemsharedmemory" | "cudasharedmemory", ..]) => "shared_memory",
        _ => return None,
    })
}

fn of_model(method: &str, model: &str, rest: &[&str]) -> Option<Operation> {
    let (version, act) = match rest {
        ["versions", version, act @ ..] => (Some(decoded(version)), act),
        act => (None, act),
    };
    let name = match (method, act) {
        ("GET", []) => "model.metadata",
        ("GET", ["ready"]) => "model.ready",
        ("GET", ["config"]) => "model.config",
        ("GET", ["stats"]) => "model.statistics",
        ("GET" | "POST", ["trace", "setting"]) => "trace.settings",
        ("POST", ["infer"]) => "infer",
        ("POST", ["generate"]) => super::GENERATE,
        ("POST", ["generate_stream"]) => super::GENERATE_STREAM,
        _ => return None,
    };
    Some(Operation {
        name,
        model: Some(decoded(model)),
        version,
    })
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expected: Option<(&str, Option<&str>, Option<&str>)>) {
        let found = find(method, path);
        let found = found
            .as_ref()
            .map(|it| (it.name, it.model.as_deref(), it.version.as_deref()));
        assert_eq!(found, expected, "{method} {path}");
        if let Some((name, ..)) = found {
            assert!(OPERATIONS.contains(&name), "{name}");
        }
    }

    #[test]
    fn model_and_version_come_from_the_path() {
        check(
            "POST",
            "/v2/models/iris/infer",
            Some(("infer", Some("iris"), None)),
        );
        check(
            "POST",
            "/v2/models/iris/versions/3/infer",
            Some(("infer", Some("iris"), Some("3"))),
        );
        check(
            "POST",
            "/gateway/v2/models/a%2Fb%20c/infer",
            Some(("infer", Some("a/b c"), None)),
        );
        check(
            "GET",
            "/v2/models/iris",
            Some(("model.metadata", Some("iris"), None)),
        );
        check(
            "GET",
            "/v2/models/iris/versions/1/ready",
            Some(("model.ready", Some("iris"), Some("1"))),
        );
        check(
            "POST",
            "/v2/models/llm/generate_stream",
            Some(("generate_stream", Some("llm"), None)),
        );
        check(
            "POST",
            "/v2/models/llm/generate",
            Some(("generate", Some("llm"), None)),
        );
        check(
            "GET",
            "/v2/models/stats/ready",
            Some(("model.ready", Some("stats"), None)),
        );
    }

    #[test]
    fn the_server_has_operations_of_its_own() {
        check("GET", "/v2", Some(("server.metadata", None, None)));
        check("GET", "/v2/", Some(("server.metadata", None, None)));
        check("GET", "/v2/health/live", Some(("server.live", None, None)));
        check(
            "GET",
            "/v2/health/ready",
            Some(("server.ready", None, None)),
        );
        check("GET", "/v2/models", Some(("model.list", None, None)));
        check(
            "GET",
            "/v2/models/stats",
            Some(("model.statistics", None, None)),
        );
        check(
            "POST",
            "/v2/repository/index",
            Some(("repository.index", None, None)),
        );
        check(
            "POST",
            "/v2/repository/models/iris/load",
            Some(("repository.load", Some("iris"), None)),
        );
    }

    #[test]
    fn what_is_no_operation_has_none() {
        for (method, path) in [
            ("GET", "/v2/models/iris/infer"),
            ("POST", "/v2/health/live"),
            ("GET", "/v1/models/iris"),
            ("POST", "/v2/models/iris/versions"),
            ("POST", "/v2/models/iris/infer/more"),
            ("GET", ""),
            ("GET", "//"),
            ("GET", "*"),
        ] {
            check(method, path, None);
        }
    }
}
