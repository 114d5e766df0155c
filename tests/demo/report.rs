//! Reports of a recorded run.

use hormesis::report::{Format, Run, headlines, verdict};

fn run() -> Run {
    serde_json::from_str(include_str!("../data/demo/run.json")).unwrap()
}

fn html(run: &Run) -> String {
    Format::Html.render(run).unwrap()
}

/// Panics where tags do not close in order; returns the names of all elements.
fn elements(page: &str) -> Vec<String> {
    let mut open = Vec::new();
    let mut seen = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(start) = rest.find('<') {
        let text = &rest[..start];
        assert!(!text.contains('>'), "a stray > in {text:?}");
        let end = start + rest[start..].find('>').unwrap();
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closes out of order");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        assert!(!name.is_empty(), "a stray < before {tag:?}");
        assert_eq!(tag.matches('"').count() % 2, 0, "unquoted in {tag:?}");
        seen.push(name.clone());
        if name == "style" {
            // A style sheet is no markup.
            rest = &rest[rest.find("</style>").unwrap()..];
        }
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    seen
}

#[test]
fn the_page_is_well_formed_and_has_its_parts() {
    let page = html(&run());
    let elements = elements(&page);
    let count = |name: &str| elements.iter().filter(|it| *it == name).count();
    assert_eq!(count("h1"), 1);
    assert_eq!(count("svg"), 3);
    assert_eq!(count("polyline"), 4, "one line a series");
    for part in [
        "Latency of chat calls",
        "Broken calls",
        "Joules by outcome",
        "Phases",
        "Rules",
        "Run it again",
    ] {
        assert!(page.contains(&format!("<h2>{part}</h2>")), "{part}");
    }
    for axis in [
        "latency (log scale)",
        "calls a second",
        "dynamic energy (J)",
        "time (s)",
    ] {
        assert!(page.contains(axis), "{axis}");
    }
    assert!(page.contains("class=\"band\""), "the fault is shaded");
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let page = html(&run());
    for foreign in [
        "http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_verdict_leads_every_report() {
    let run = run();
    let sentence = verdict(&run);
    assert!(sentence.ends_with('.') && sentence.matches(". ").count() == 0);
    assert!(sentence.contains(&run.energy.as_ref().unwrap().tier));
    let page = html(&run);
    assert!(page.find(&sentence).unwrap() < page.find("<svg").unwrap());
    let text = Format::Text.render(&run).unwrap();
    assert!(text.starts_with(&sentence.replace('\u{a0}', " ")));
}

#[test]
fn hits_that_did_nothing_are_accounted_for() {
    let run = run();
    for rule in &run.rules {
        assert!(rule.outside > 0, "{}: drawn in every phase", rule.name);
        assert!(rule.outside + rule.applied <= rule.hit, "{}", rule.name);
    }
    for format in [Format::Html, Format::Text] {
        let text = format.render(&run).unwrap();
        assert!(text.contains("outside its time"), "{}", format.name());
    }
}

#[test]
fn what_was_written_reads_back() {
    let run = run();
    let json = Format::Json.render(&run).unwrap();
    assert_eq!(serde_json::from_str::<Run>(&json).unwrap(), run);
}

#[test]
fn no_text_of_a_run_becomes_markup() {
    let mut run = run();
    let evil = "</td><script>alert(1)</script>\"'&";
    evil.clone_into(&mut run.rules[0].name);
    evil.clone_into(&mut run.rules[0].does);
    evil.clone_into(&mut run.command);
    evil.clone_into(&mut run.version);
    run.notes.push(evil.to_owned());
    run.energy.as_mut().unwrap().tier = evil.to_owned();
    run.energy.as_mut().unwrap().meters = vec![evil.to_owned()];
    run.phases[0].figures.name = evil.to_owned();
    let page = html(&run);
    assert!(!page.contains("<script"));
    elements(&page);
}

#[test]
fn no_reading_is_not_nothing() {
    let mut run = run();
    run.energy = None;
    for phase in &mut run.phases {
        phase.energy = None;
    }
    run.notes.clear();
    let [_, _, lost] = headlines(&run);
    assert_eq!(lost.value, "no reading");
    for format in [Format::Html, Format::Text] {
        let text = format.render(&run).unwrap().replace('\u{a0}', " ");
        let zero = ["0 J", "0 mJ", "0 µJ"].iter().any(|it| text.contains(it));
        assert!(!zero, "{}", format.name());
    }
    elements(&html(&run));
}

#[test]
fn a_run_without_calls_still_renders() {
    let mut run = run();
    run.seconds.clear();
    for phase in &mut run.phases {
        phase.figures.all = hormesis::load::Slice::default();
        phase.figures.by_flow.clear();
    }
    run.total = hormesis::load::Slice::default();
    elements(&html(&run));
    run.phases.clear();
    elements(&html(&run));
    assert_eq!(verdict(&run), "No rule was live in this run.");
}
