use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn look(pointers: &[&str], document: &[u8], size: usize) -> (Progress, Vec<(String, Value)>) {
    let mut look = Look::new(pointers);
    let mut progress = Progress::More;
    for piece in document.chunks(size) {
        progress = look.push(piece);
    }
    let found = look.finish().into_iter();
    (
        progress,
        found.map(|it| (it.pointer.to_owned(), it.value)).collect(),
    )
}

/// One pointer in a document: what is found, the same in pieces of every size.
fn find(pointer: &str, document: &str) -> Option<Value> {
    let (_, whole) = look(&[pointer], document.as_bytes(), document.len().max(1));
    for size in 1..=document.len().min(9) {
        let (_, split) = look(&[pointer], document.as_bytes(), size);
        assert_eq!(split, whole, "{document} in pieces of {size}");
    }
    whole.into_iter().next().map(|(_, value)| value)
}

#[test]
fn rfc_6901_holds() {
    // The document of its section 5.
    let document = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,
        "k\"l":6," ":7,"m~n":8}"#;
    let whole: Value = serde_json::from_str(document).unwrap();
    assert_eq!(find("", document), Some(whole));
    for (pointer, value) in [
        ("/foo", json!(["bar", "baz"])),
        ("/foo/0", json!("bar")),
        ("/", json!(0)),
        ("/a~1b", json!(1)),
        ("/c%d", json!(2)),
        ("/e^f", json!(3)),
        ("/g|h", json!(4)),
        ("/i\\j", json!(5)),
        ("/k\"l", json!(6)),
        ("/ ", json!(7)),
        ("/m~0n", json!(8)),
    ] {
        assert_eq!(find(pointer, document), Some(value), "{pointer}");
    }
    for pointer in [
        "/foo/2", "/foo/00", "/foo/-", "/foo/0/x", "/no", "foo", "/m~2n",
    ] {
        assert_eq!(find(pointer, document), None, "{pointer}");
    }
}

#[test]
fn keys_match_by_what_they_say_not_by_how_they_are_written() {
    assert_eq!(find("/ä", r#"{"\u00e4":1}"#), Some(json!(1)));
    assert_eq!(find("/😀", r#"{"\ud83d\ude00":1}"#), Some(json!(1)));
    assert_eq!(find("/😀", r#"{"😀":1}"#), Some(json!(1)));
    assert_eq!(find("/a/b", r#"{"\u0061":{"b":true}}"#), Some(json!(true)));
    assert_eq!(find("/a", r#"{"a\n":1,"aa":2}"#), None);
}

#[test]
fn the_first_of_doubled_keys_wins() {
    assert_eq!(find("/a", r#"{"a":1,"a":2}"#), Some(json!(1)));
    assert_eq!(find("/a/b", r#"{"a":{"c":1},"a":{"b":2}}"#), Some(json!(2)));
}

#[test]
fn it_stops_when_all_is_found() {
    let mut look = Look::new(["/model", "/stream"]);
    assert_eq!(look.push(br#"{"model":"m","x":["#), Progress::More);
    assert_eq!(look.push(br#"1],"stream":true"#), Progress::Done);
    assert_eq!(look.push(b"no JSON at all"), Progress::Done);
    assert_eq!(look.finish().len(), 2);
    assert_eq!(Look::new([""; 0]).push(b"{"), Progress::Done);
    assert_eq!(Look::new(["no pointer"]).push(b"{"), Progress::Done);
}

#[test]
fn a_document_that_ends_is_done_whatever_was_found() {
    assert_eq!(look(&["/b"], b" {\"a\":1}", 8), (Progress::Done, vec![]));
    assert_eq!(look(&["/b"], b"{\"a\":1", 8), (Progress::More, vec![]));
    let (progress, found) = look(&[""], b"12", 1);
    assert_eq!(
        (progress, found.len()),
        (Progress::More, 1),
        "a bare number ends with its bytes"
    );
}

#[test]
fn what_is_no_json_is_invalid_but_keeps_what_came_before() {
    let (progress, found) = look(&["/a", "/b"], b"{\"a\":1,}", 3);
    assert_eq!(progress, Progress::Invalid);
    assert_eq!(found, [("/a".to_owned(), json!(1))]);
    for document in [
        "{a:1}",
        "[1 2]",
        "{\"a\" 1}",
        "[01]",
        "[1.]",
        "[-]",
        "[1e]",
        "[tru]",
        "[nulll]",
        "]",
        "[\"\\x\"]",
        "[\"\\u12g4\"]",
        "[\"\n\"]",
        "{\"a\":1]",
        "[1,]",
        "{,}",
        "[+1]",
        "\u{FEFF}{}",
    ] {
        let (progress, _) = look(&["/never"], document.as_bytes(), 2);
        assert_eq!(progress, Progress::Invalid, "{document}");
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert_eq!(look(&["/x"], deep(128).as_bytes(), 7).0, Progress::Done);
    assert_eq!(look(&["/x"], deep(129).as_bytes(), 7).0, Progress::Invalid);
    assert_eq!(
        look(&["/x"], "{\"a\":".repeat(1 << 20).as_bytes(), 4096).0,
        Progress::Invalid
    );
}

#[test]
fn a_value_over_the_cap_is_passed_over() {
    let fits = format!("{{\"a\":\"{}\",\"b\":1}}", "x".repeat(VALUE_CAP - 2));
    assert_eq!(look(&["/a", "/b"], fits.as_bytes(), 4096).1.len(), 2);
    let over = format!("{{\"a\":\"{}\",\"b\":1}}", "x".repeat(VALUE_CAP - 1));
    for size in [over.len(), 4096, 4099] {
        let (progress, found) = look(&["/a", "/b"], over.as_bytes(), size);
        assert_eq!(progress, Progress::Done);
        assert_eq!(found, [("/b".to_owned(), json!(1))]);
    }
}

#[test]
fn characters_are_counted_where_the_measure_says() {
    let document = r#"{"messages":[{"role":"user","content":"h\u00e9\ud83d\ude00\n"},
        {"content":[{"type":"text","text":"äöü"},{"type":"image_url"}]},{"content":null}],"prompt":"x"}"#;
    assert_eq!(find("chars:/messages/*/content", document), Some(json!(4)));
    assert_eq!(
        find("chars:/messages/*/content/*/text", document),
        Some(json!(3))
    );
    assert_eq!(find("chars:/prompt", document), Some(json!(1)));
    assert_eq!(find("chars:/none", document), None);
    assert_eq!(find("chars:/messages/*/role/*", document), None);
    assert_eq!(find("chars:/*", r#"["a","","bc",["d"],1]"#), Some(json!(3)));
    assert_eq!(find("chars:/prompt", r#"{"prompt":""}"#), Some(json!(0)));
}

#[test]
fn a_count_that_may_still_grow_is_not_found() {
    let measure = ["chars:/messages/*/content"];
    let open = br#"{"messages":[{"content":"abc"}"#;
    assert_eq!(look(&measure, open, 100), (Progress::More, vec![]));
    let closed = br#"{"messages":[{"content":"abc"}]"#;
    let found = vec![(measure[0].to_owned(), json!(3))];
    assert_eq!(look(&measure, closed, 100), (Progress::Done, found));
}

fn key() -> impl Strategy<Value = String> {
    let keys = [
        "a",
        "b",
        "",
        "0",
        "1",
        "01",
        "a/b",
        "~",
        "*",
        "ä",
        "\n\"\\",
        "😀",
        "longer-key",
    ];
    prop::sample::select(keys.to_vec()).prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        "[a\\\\\"\n\u{e4}😀\u{1}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((key(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn pointer() -> impl Strategy<Value = String> {
    prop::collection::vec(key(), 0..4).prop_map(|keys| {
        let escaped = |key: String| format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        keys.into_iter().map(escaped).collect()
    })
}

/// The document with every character beyond ASCII escaped, as Python writes it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        if char.is_ascii() {
            out.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").unwrap();
        }
    }
    out
}

proptest! {
    #[test]
    fn it_finds_what_serde_json_finds_under_any_split(
        document in document(),
        pointers in prop::collection::vec(pointer(), 1..5),
        pretty in any::<bool>(),
        ascii in any::<bool>(),
        sizes in prop::collection::vec(1_usize..12, 1..6),
    ) {
        let mut text = if pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        if ascii {
            text = escaped(&text);
        }
        let mut look = Look::new(&pointers);
        let (mut rest, mut sizes) = (text.as_bytes(), sizes.iter().cycle());
        while let Some(&size) = sizes.next().filter(|_| !rest.is_empty()) {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            prop_assert_ne!(look.push(piece), Progress::Invalid);
            rest = after;
        }
        let found = look.finish();
        for pointer in &pointers {
            prop_assert_eq!(value(&found, pointer), document.pointer(pointer), "{}", pointer);
        }
    }

    #[test]
    fn what_serde_json_reads_is_never_invalid(
        document in document(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"{}[]\",:0e.-tn\\u \x00\xFF".to_vec()),
    ) {
        // Inside a list, since a bare number leaves open where the document ends.
        let mut bytes = json!([document]).to_string().into_bytes();
        let at = 1 + at.index(bytes.len() - 1);
        bytes[at] = byte;
        let progress = Look::new(["/never/there"]).push(&bytes);
        if serde_json::from_slice::<Value>(&bytes).is_ok() {
            prop_assert_ne!(progress, Progress::Invalid);
        } else if std::str::from_utf8(&bytes).is_ok() {
            // Invalid, or broken off; or ended before what is too much. What remains are lone
            // surrogates and numbers beyond f64, which only reading values can tell.
            let lenient = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
            let ended_early = serde_json::Deserializer::from_slice(&bytes)
                .into_iter::<serde::de::IgnoredAny>()
                .next()
                .is_some_and(|first| first.is_ok());
            prop_assert!(progress != Progress::Done || lenient || ended_early);
        }
    }
}
