//! Operations by method and path. Servers mount the same API under many prefixes: `/v1`,
//! `/openai/v1`, `/openai/deployments/NAME`, `/api/v1`, or none.

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

/// What of an operation's request body is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Chat,
    Completion,
    /// Text in `input`, one or many.
    Input,
    /// No more than a model.
    Model,
    None,
    Responses,
}

impl Body {
    pub(super) const fn pointers(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &[
                "/model",
                "/stream",
                "/max_completion_tokens",
                "/max_tokens",
                "/n_predict",
                "chars:/messages/*/content",
                "chars:/messages/*/content/*/text",
            ],
            Self::Completion => &[
                "/model",
                "/stream",
                "/max_tokens",
                "/n_predict",
                "chars:/prompt",
                "chars:/prompt/*",
            ],
            Self::Input => &["/model", "chars:/input", "chars:/input/*"],
            Self::Model => &["/model"],
            Self::None => &[],
            Self::Responses => &[
                "/model",
                "/stream",
                "/max_output_tokens",
                "chars:/instructions",
                "chars:/input",
                "chars:/input/*/content",
                "chars:/input/*/content/*/text",
            ],
        }
    }

    pub(super) const fn can_stream(self) -> bool {
        matches!(self, Self::Chat | Self::Completion | Self::Responses)
    }
}

/// A segment of a path in [`ROUTES`] that stands for one of any name.
const ANY: &str = "*";
/// The same for a model, whose name may hold slashes: the rest of the path.
const MODEL: &str = "**";

struct Route {
    method: &'static str,
    path: &'static [&'static str],
    name: &'static str,
    body: Body,
}

/// One route a line, sorted so that the first that fits is the right one.
macro_rules! routes {
    ($($method:literal $path:expr => $name:literal $body:ident),+ $(,)?) => {
        const ROUTES: &[Route] = &[$(Route {
            method: $method,
            path: &$path,
            name: $name,
            body: Body::$body,
        }),+];

        /// The names of all operations.
        pub(super) const OPERATIONS: &[&str] = &[$($name),+];
    };
}

routes! {
    "POST" ["chat", "completions"] => "chat.completions" Chat,
    "GET" ["chat", "completions"] => "chat.completions.list" None,
    "GET" ["chat", "completions", ANY] => "chat.completions.retrieve" None,
    "POST" ["chat", "completions", ANY] => "chat.completions.update" None,
    "DELETE" ["chat", "completions", ANY] => "chat.completions.delete" None,
    "POST" ["completions"] => "completions" Completion,
    "POST" ["completion"] => "completion" Completion,
    "POST" ["infill"] => "infill" Completion,
    "POST" ["embeddings"] => "embeddings" Input,
    "POST" ["embedding"] => "embedding" Input,
    "POST" ["responses"] => "responses" Responses,
    "GET" ["responses", ANY] => "responses.retrieve" None,
    "DELETE" ["responses", ANY] => "responses.delete" None,
    "POST" ["responses", ANY, "cancel"] => "responses.cancel" None,
    "GET" ["responses", ANY, "input_items"] => "responses.input_items" None,
    "POST" ["moderations"] => "moderations" Input,
    "POST" ["audio", "speech"] => "audio.speech" Input,
    "POST" ["audio", "transcriptions"] => "audio.transcriptions" None,
    "POST" ["audio", "translations"] => "audio.translations" None,
    "POST" ["images", "generations"] => "images.generations" Model,
    "POST" ["images", "edits"] => "images.edits" None,
    "POST" ["images", "variations"] => "images.variations" None,
    "POST" ["rerank"] => "rerank" Model,
    "POST" ["reranking"] => "reranking" Model,
    "POST" ["score"] => "score" Model,
    "POST" ["pooling"] => "pooling" Input,
    "POST" ["classify"] => "classify" Input,
    "POST" ["tokenize"] => "tokenize" Model,
    "POST" ["detokenize"] => "detokenize" Model,
    "POST" ["apply-template"] => "apply-template" Model,
    "GET" ["models"] => "models" None,
    "GET" ["models", MODEL] => "models.retrieve" None,
    "DELETE" ["models", MODEL] => "models.delete" None,
    "GET" ["health"] => "health" None,
    "GET" ["props"] => "props" None,
    "GET" ["slots"] => "slots" None,
    "GET" ["version"] => "version" None,
}

/// What a method and a path say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) model: Option<String>,
}

/// The operation of a request; `None` where this API has none at that path.
pub(super) fn find(method: &str, path: &str) -> Option<Operation> {
    let segments: SmallVec<[&str; 12]> = path.split('/').filter(|it| !it.is_empty()).collect();
    // A route earlier in the list wins over a longer prefix: in `/models/M/v1/chat/completions`
    // the models are the prefix.
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| {
            let start = (0..segments.len()).find(|&at| fits(route.path, &segments[at..]))?;
            Some(Operation {
                name: route.name,
                model: model(route, &segments, start),
            })
        })
}

/// What of the body of an operation is worth a look.
pub(super) fn body(operation: &str) -> Body {
    ROUTES
        .iter()
        .find(|route| route.name == operation)
        .map_or(Body::None, |route| route.body)
}

fn fits(route: &[&str], path: &[&str]) -> bool {
    match (route, path) {
        ([], []) => true,
        ([MODEL], [_, ..]) => true,
        ([first, route @ ..], [segment, path @ ..]) => {
            (*first == ANY || first == segment) && fits(route, path)
        }
        _ => false,
    }
}

/// The model that the path names: after `models/`, or a deployment before the route.
fn model(route: &Route, segments: &[&str], start: usize) -> Option<String> {
    let name = if route.path.last() == Some(&MODEL) {
        segments[start + route.path.len() - 1..].join("/")
    } else {
        let at = start.checked_sub(2)?;
        matches!(segments[at], "deployments" | "engines").then(|| segments[at + 1].to_owned())?
    };
    Some(percent_decode_str(&name).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expected: Option<(&str, Option<&str>)>) {
        let found = find(method, path);
        let found = found.as_ref().map(|it| (it.name, it.model.as_deref()));
        assert_eq!(found, expected, "{method} {path}");
    }

    #[test]
    fn prefixes_do_not_matter() {
        for prefix in [
            "",
            "/v1",
            "/openai/v1",
            "/api/v1",
            "/v1beta/openai",
            "//v1/",
        ] {
            let chat = format!("{prefix}/chat/completions");
            check("POST", &chat, Some(("chat.completions", None)));
            let plain = format!("{prefix}/completions");
            check("POST", &plain, Some(("completions", None)));
            let embeddings = format!("{prefix}/embeddings/");
            check("POST", &embeddings, Some(("embeddings", None)));
        }
    }

    #[test]
    fn deployments_and_models_in_the_path_are_the_model() {
        check(
            "POST",
            "/openai/deployments/gpt%2D4o/chat/completions",
            Some(("chat.completions", Some("gpt-4o"))),
        );
        check(
            "POST",
            "/v1/engines/davinci/completions",
            Some(("completions", Some("davinci"))),
        );
        check(
            "GET",
            "/v1/models/meta-llama/Llama-3.1-8B",
            Some(("models.retrieve", Some("meta-llama/Llama-3.1-8B"))),
        );
        check(
            "POST",
            "/models/meta-llama/Llama-3/v1/chat/completions",
            Some(("chat.completions", None)),
        );
        check("GET", "/v1/models", Some(("models", None)));
    }

    #[test]
    fn what_is_no_operation_has_none() {
        for (method, path) in [
            ("GET", "/v1/embeddings"),
            ("post", "/v1/chat/completions"),
            ("POST", "/v1/chat/completionsx"),
            ("POST", "/v1/chat/completions/a/b"),
            ("POST", ""),
            ("POST", "/"),
            ("GET", "*"),
            ("GET", "//"),
        ] {
            check(method, path, None);
        }
    }

    #[test]
    fn responses_are_told_by_their_id() {
        check("POST", "/v1/responses", Some(("responses", None)));
        check(
            "GET",
            "/v1/responses/r_1",
            Some(("responses.retrieve", None)),
        );
        check(
            "POST",
            "/v1/responses/r_1/cancel",
            Some(("responses.cancel", None)),
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names = OPERATIONS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OPERATIONS.len());
    }
}
