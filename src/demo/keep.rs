//! `--keep`: everything stays up, with three commands to try.

use std::io::{self, Write};

use super::children::Stage;
use super::error::DemoError;
use super::scenario::{EVERY_S, infer_body};
use super::shell::quote;
use super::story::{Play, write};

/// Prints the commands and waits until a process ends, or for ever.
pub(super) async fn stay(stage: &mut Stage, play: &Play) -> Result<(), DemoError> {
    let body = play.folder.join("infer.json");
    write(&body, &infer_body(play.seed, 2))?;
    let chat = r#"{"model":"river-letters","stream":true,"messages":[{"role":"user","content":"who lives by the river"}]}"#;
    let text = format!(
        "\nEverything stays up until Ctrl-C; the rules come back for 10 s of every {EVERY_S} s, and \
         http://{admin}/status\ntells what they did. To ask, to classify, to end every fault:\n\n\
         curl -N http://{chat_address}/v1/chat/completions -H 'content-type: application/json' -d '{chat}'\n\
         curl http://{infer}/v2/models/digits/infer -H 'content-type: application/json' -d @{body}\n\
         curl -X POST http://{admin}/halt\n",
        chat_address = play.chat,
        infer = play.infer,
        body = quote(&body.display().to_string()),
        admin = play.admin,
    );
    let mut stderr = io::stderr().lock();
    stderr
        .write_all(text.as_bytes())
        .map_err(DemoError::Print)?;
    drop(stderr);
    // The load has done its part; it would count as a death.
    match (&mut stage.sidecar, &mut stage.model_server) {
        (Some(sidecar), Some(model_server)) => tokio::select! {
            death = sidecar.death() => Err(death),
            death = model_server.death() => Err(death),
        },
        _ => Ok(()),
    }
}
