//! The terminal while `top` has it, and the keys that are typed there. It is given back on every
//! way out: an end, an error, a signal, a panic.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Halt,
    /// What was asked is meant.
    Yes,
    /// A key without a meaning: no to what was asked.
    Other,
    Help,
    /// Also Ctrl-C, which is a key while the terminal is ours.
    Quit,
    Interrupt,
    /// Nothing, but the picture is to be drawn again.
    Redraw,
}

pub(super) struct Screen(pub(super) DefaultTerminal);

impl Screen {
    /// Takes the terminal. A panic gives it back too: ratatui's hook does so before it is told.
    pub(super) fn take() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // It may have come half way.
                ratatui::restore();
                Err(error)
            }
        }
    }

    /// What was typed since the last look, the last of it; never waits.
    pub(super) fn asked() -> io::Result<Option<Asked>> {
        let mut asked = None;
        while event::poll(Duration::ZERO)? {
            asked = match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    let control = key.modifiers.contains(KeyModifiers::CONTROL);
                    match key.code {
                        KeyCode::Char('c') if control => return Ok(Some(Asked::Interrupt)),
                        KeyCode::Char('q') => return Ok(Some(Asked::Quit)),
                        KeyCode::Char('h') => return Ok(Some(Asked::Halt)),
                        KeyCode::Char('y') => return Ok(Some(Asked::Yes)),
                        KeyCode::Char('?') => Some(Asked::Help),
                        _ => asked.or(Some(Asked::Other)),
                    }
                }
                Event::Resize(..) => asked.or(Some(Asked::Redraw)),
                _ => asked,
            };
        }
        Ok(asked)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
