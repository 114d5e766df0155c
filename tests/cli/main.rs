//! The command line as a user meets it: command, exit code, standard output, standard error.

mod sandbox;

use sandbox::{Sandbox, hormesis};

#[test]
fn seven_mistakes_are_told_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", include_str!("cases/seven-mistakes.toml"));
    insta::assert_snapshot!(sandbox.run(&["check", "hormesis.toml"]), @"");
}

#[test]
fn a_command_that_does_not_exist_is_answered_with_the_one_that_was_meant() {
    insta::assert_snapshot!(hormesis(&["chekc"]), @"");
}
