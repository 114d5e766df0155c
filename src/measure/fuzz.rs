//! Entry function of the fuzz target for expressions: arbitrary bytes go in, and what must hold for
//! all texts is asserted. Ordinary tests call it too.

use crate::measure::Expression;

/// What is understood is understood again in its one form; a mistake points into the text.
pub fn expression(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match text.parse::<Expression>() {
        Ok(expression) => {
            let shown = expression.to_string();
            match shown.parse::<Expression>() {
                Ok(again) => assert_eq!(again.to_string(), shown, "of {text:?}"),
                Err(mistake) => panic!("{shown:?} of {text:?}: {mistake}"),
            }
        }
        Err(mistake) => {
            assert!(text.get(mistake.span.clone()).is_some(), "{mistake:?}");
            assert!(!mistake.message.is_empty() && !mistake.help.is_empty());
            assert!(mistake.pointed(&text).lines().count() <= 2);
        }
    }
}
