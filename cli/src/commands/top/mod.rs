//! `flashsale top`: a running installation at a glance, from a terminal.

mod model;
mod view;

use std::{
    io::IsTerminal,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use axum::http::Method;
use clap::Args;
use flashsale_platform::shutdown;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyModifiers},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    client::Client,
    settings::LOCAL_ADMIN_KEY,
    terminal::{USAGE, fail, say},
};
use model::{Look, Model};

/// Columns of a frame that is printed as text.
const TEXT_COLUMNS: u16 = 100;
/// How often the age of the data is shown anew.
const CLOCK: Duration = Duration::from_millis(500);
/// How long one wait for a key lasts; a reader that is not wanted any more ends within it.
const KEY_WAIT: Duration = Duration::from_millis(100);
/// Keys that wait to be taken.
const KEYS_MAX: usize = 16;
/// The shortest time between two looks: each asks the log and Redis.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
/// Lines that a page key scrolls.
const PAGE: usize = 10;

/// Shows sales, decisions, consumers, outbox and dead letters of a running installation, and again each second.
///
/// Keys: q or Esc quits, p pauses, arrows and page keys scroll.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flashsale top\n  flashsale top --once\n  flashsale top --json | jq .overview.sales"
)]
pub(crate) struct Top {
    /// Where the installation answers.
    #[arg(long, env = "FLASHSALE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The admin key; by default that of the local stack.
    #[arg(long, env = "FLASHSALE_ADMIN_KEY", default_value = LOCAL_ADMIN_KEY, hide_env_values = true)]
    admin_key: String,
    /// Time between two looks, such as 500ms, 2s or 1m.
    #[arg(long, default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print one frame as text and end; needs no terminal.
    #[arg(long, conflicts_with = "json")]
    once: bool,
    /// Print one look as JSON and end.
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err("expected a whole number and ms, s or m, such as 2s".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| "expected a whole number and ms, s or m, such as 2s".to_owned())?;
    let interval = Duration::from_millis(count.saturating_mul(unit));
    if interval < INTERVAL_MIN { Err(format!("at least {INTERVAL_MIN:?}")) } else { Ok(interval) }
}

impl Top {
    /// Shows it until a key or a signal ends it.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.url, &self.admin_key);
        if self.json {
            let (overview, consumers) = ask(&client).await?;
            say(serde_json::to_string_pretty(&json!({ "overview": overview, "consumers": consumers }))?);
            return Ok(ExitCode::SUCCESS);
        }
        let mut model = Model::new(&self.url, std::env::var_os("NO_COLOR").is_none());
        if self.once {
            model.look = Some(look(&client).await?);
            view::text(&model, TEXT_COLUMNS).into_iter().for_each(say);
            return Ok(ExitCode::SUCCESS);
        }
        if !std::io::stdout().is_terminal() {
            fail(&anyhow!("stdout is no terminal; use --once for one frame as text, or --json"));
            return Ok(ExitCode::from(USAGE));
        }
        let stop = shutdown::on_signal()?;
        // Also sets up that a panic gives the terminal back before it is told.
        let terminal = ratatui::try_init();
        let watched = match terminal {
            Ok(mut terminal) => {
                let watching = watch(&mut terminal, client, model, self.interval);
                tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    watched = watching => watched,
                }
            }
            Err(error) => Err(anyhow::Error::new(error).context("take over the terminal")),
        };
        ratatui::restore();
        watched.map(|()| ExitCode::SUCCESS)
    }
}

/// The two answers, as they came.
async fn ask(client: &Client) -> anyhow::Result<(Value, Value)> {
    tokio::try_join!(
        client.ask(Method::GET, "/api/v1/ops/overview", None),
        client.ask(Method::GET, "/api/v1/ops/consumers", None),
    )
}

async fn look(client: &Client) -> anyhow::Result<Look> {
    let (overview, consumers) = ask(client).await?;
    Look::read(overview, consumers).context("it answers in a form that this version of the tool does not know")
}

/// Looks again and again. While nobody takes what was seen, as during a pause, it does not look.
fn looks(client: Client, interval: Duration) -> mpsc::Receiver<(Instant, anyhow::Result<Look>)> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let look = look(&client).await;
            if sender.send((Instant::now(), look)).await.is_err() {
                return;
            }
            tokio::time::sleep(interval).await;
        }
    });
    receiver
}

/// Keys and changes of the window. Reading them blocks, so it has a thread of its own.
fn events() -> mpsc::Receiver<std::io::Result<Event>> {
    let (sender, receiver) = mpsc::channel(KEYS_MAX);
    tokio::task::spawn_blocking(move || {
        while !sender.is_closed() {
            let event = match event::poll(KEY_WAIT) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let is_over = event.is_err();
            if sender.blocking_send(event).is_err() || is_over {
                return;
            }
        }
    });
    receiver
}

async fn watch(
    terminal: &mut DefaultTerminal,
    client: Client,
    mut model: Model,
    interval: Duration,
) -> anyhow::Result<()> {
    let (mut looks, mut events) = (looks(client, interval), events());
    let mut clock = tokio::time::interval(CLOCK);
    let mut taken_at = Instant::now();
    loop {
        model.age = taken_at.elapsed();
        let size = terminal.size()?;
        model.scroll = model.scroll.min(view::scroll_max(&model, size.width, size.height));
        terminal.draw(|frame| view::draw(frame, &model))?;
        tokio::select! {
            Some((at, look)) = looks.recv(), if !model.paused => match look {
                Ok(look) => {
                    (model.look, model.problem) = (Some(look), None);
                    taken_at = at;
                }
                Err(error) => model.problem = Some(error.to_string()),
            },
            event = events.recv() => match event {
                Some(event) => if quits(&mut model, &event.context("read a key")?) {
                    return Ok(());
                },
                None => bail!("no key can be read any more"),
            },
            _ = clock.tick() => {}
        }
    }
}

/// Does what a key asks for; returns whether that is to quit.
fn quits(model: &mut Model, event: &Event) -> bool {
    let Some(key) = event.as_key_press_event() else { return false };
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Char('p') => model.paused = !model.paused,
        KeyCode::Up => model.scroll = model.scroll.saturating_sub(1),
        KeyCode::Down => model.scroll = model.scroll.saturating_add(1),
        KeyCode::PageUp => model.scroll = model.scroll.saturating_sub(PAGE),
        KeyCode::PageDown => model.scroll = model.scroll.saturating_add(PAGE),
        KeyCode::Home => model.scroll = 0,
        KeyCode::End => model.scroll = usize::MAX,
        _ => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    fn press(model: &mut Model, code: KeyCode, modifiers: KeyModifiers) -> bool {
        quits(model, &Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_quit_pause_and_scroll() {
        let mut model = Model::new("http://shop", false);
        for (code, modifiers) in [
            (KeyCode::Char('q'), KeyModifiers::NONE),
            (KeyCode::Esc, KeyModifiers::NONE),
            (KeyCode::Char('c'), KeyModifiers::CONTROL),
        ] {
            assert!(press(&mut model, code, modifiers), "{code:?}");
        }
        assert!(!press(&mut model, KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!press(&mut model, KeyCode::Char('p'), KeyModifiers::NONE) && model.paused);
        assert!(!press(&mut model, KeyCode::Char('p'), KeyModifiers::NONE) && !model.paused);
        for (code, scroll) in [
            (KeyCode::Up, 0),
            (KeyCode::Down, 1),
            (KeyCode::PageDown, 11),
            (KeyCode::Up, 10),
            (KeyCode::PageUp, 0),
            (KeyCode::End, usize::MAX),
            (KeyCode::Down, usize::MAX),
            (KeyCode::Home, 0),
        ] {
            press(&mut model, code, KeyModifiers::NONE);
            assert_eq!(model.scroll, scroll, "{code:?}");
        }
        assert!(!quits(&mut model, &Event::Resize(80, 24)));
    }

    #[test]
    fn intervals_have_a_unit_and_a_least() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("1m"), Ok(Duration::from_secs(60)));
        for bad in ["", "1", "s", "-1s", "1.5s", "1h", "0s", "199ms", "99999999999999999999s"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
