//! `[traces]`: where spans go.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::config::document::Document;
use crate::config::tree::Located;
use crate::config::{Problems, TracesConfig};
use crate::record::TraceSettings;

/// Where the standard has a collector take spans.
const PATH: &str = "/v1/traces";

pub(super) fn resolve(document: &Document<'_>, problems: &mut Problems) -> Option<TraceSettings> {
    let located = document.traces.as_ref()?;
    let config = &located.value;
    if !cfg!(feature = "otlp") {
        let message = "this binary was built without traces";
        let help = "build it with the feature `otlp`, or leave `[traces]` out".to_owned();
        located.error(problems, "endpoint", message, help);
        return None;
    }
    let endpoint = endpoint(located, problems);
    let headers = headers(located, problems);
    Some(TraceSettings {
        endpoint: endpoint?,
        calls: config.calls.0,
        service: config.service.clone(),
        headers: headers?,
    })
}

fn endpoint(located: &Located<'_, TracesConfig>, problems: &mut Problems) -> Option<Uri> {
    let text = &located.value.endpoint;
    let help = "write \"http://HOST:4318\"".to_owned();
    let uri = match text.parse::<Uri>() {
        Ok(uri) if uri.host().is_some() => uri,
        _ => {
            let message = format!("{text:?} is no URL");
            located.error(problems, "endpoint", message, help);
            return None;
        }
    };
    if uri.scheme_str() != Some("http") {
        let message = "spans are sent without TLS";
        let help = format!("{help}: to a collector beside hormesis, which passes them on");
        located.error(problems, "endpoint", message, help);
        return None;
    }
    if uri.path() != "/" {
        return Some(uri);
    }
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static(PATH));
    Uri::from_parts(parts).ok()
}

fn headers(located: &Located<'_, TracesConfig>, problems: &mut Problems) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut whole = true;
    for (name, value) in &located.value.headers {
        let parsed = name.parse::<HeaderName>().ok();
        if let Some((name, mut value)) = parsed.zip(value.parse::<HeaderValue>().ok()) {
            value.set_sensitive(true);
            headers.insert(name, value);
        } else {
            let message = format!("`{name}` with this value is no HTTP header");
            let help = "names are tokens, values have no line ends".to_owned();
            located.error(problems, &format!("headers.{name}"), message, help);
            whole = false;
        }
    }
    whole.then_some(headers)
}
