//! Elements of SVG, with every text escaped.

/// Text as the content or the attribute of an element, in HTML and in XML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no way to write these.
            control if control.is_control() && !matches!(control, '\n' | '\t') => {
                out.push('\u{fffd}');
            }
            other => out.push(other),
        }
    }
    out
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attribute<'a> {
    Number(f64),
    Text(&'a str),
}

impl From<f64> for Attribute<'_> {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Attribute<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

/// A drawing as it grows.
#[derive(Debug)]
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let title = escape(title);
        Self(format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">"
        ))
    }

    /// An empty element; attributes as pairs.
    pub(super) fn shape(&mut self, tag: &str, attributes: &[(&str, Attribute<'_>)]) {
        self.open(tag, attributes);
        self.0.push_str("/>");
    }

    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.open(
            "text",
            &[("x", x.into()), ("y", y.into()), ("class", class.into())],
        );
        self.end("text", text);
    }

    /// A text that runs upwards.
    pub(super) fn upright(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let turn = format!("translate({x:.1} {y:.1}) rotate(-90)");
        self.open(
            "text",
            &[("transform", turn.as_str().into()), ("class", class.into())],
        );
        self.end("text", text);
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.shape(
            "line",
            &[
                ("x1", from.0.into()),
                ("y1", from.1.into()),
                ("x2", to.0.into()),
                ("y2", to.1.into()),
                ("class", class.into()),
            ],
        );
    }

    pub(super) fn rect(&mut self, corner: (f64, f64), size: (f64, f64), class: &str, tip: &str) {
        self.open(
            "rect",
            &[
                ("x", corner.0.into()),
                ("y", corner.1.into()),
                ("width", size.0.max(0.0).into()),
                ("height", size.1.max(0.0).into()),
                ("class", class.into()),
            ],
        );
        self.tip("rect", tip);
    }

    /// Closes the element `tag` that is open, with a tip for the pointer where there is one.
    pub(super) fn tip(&mut self, tag: &str, tip: &str) {
        if tip.is_empty() {
            self.0.push_str("/>");
        } else {
            self.0.push_str("><title");
            self.end("title", tip);
            for part in ["</", tag, ">"] {
                self.0.push_str(part);
            }
        }
    }

    pub(super) fn open(&mut self, tag: &str, attributes: &[(&str, Attribute<'_>)]) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            let value = match value {
                // A tenth of a pixel is finer than any screen.
                Attribute::Number(number) => ((number * 10.0).round() / 10.0).to_string(),
                Attribute::Text(text) => escape(text),
            };
            for part in [" ", name, "=\"", &value, "\""] {
                self.0.push_str(part);
            }
        }
    }

    /// Closes the element `tag` that is open, with a text in it.
    fn end(&mut self, tag: &str, text: &str) {
        for part in [">", &escape(text), "</", tag, ">"] {
            self.0.push_str(part);
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</svg>");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(
            escape("<b a=\"1\">'&\u{1}"),
            "&lt;b a=&quot;1&quot;&gt;&#39;&amp;\u{fffd}"
        );
    }

    #[test]
    fn numbers_are_short() {
        let mut svg = Svg::new(10.0, 10.0, "t");
        svg.shape("circle", &[("r", 1.234_567.into())]);
        assert!(svg.finish().contains("r=\"1.2\""));
    }
}
