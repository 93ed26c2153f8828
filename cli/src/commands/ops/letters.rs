//! Dead letters on a terminal.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use flashsale_operations::{DiscardPlan, LetterDetails, LetterState, LetterVerdict, Letters, RedrivePlan, Selection};

use super::Desk;
use crate::{
    parts,
    terminal::{bold, count, dim, green, red, say, say_json, table, yellow},
};

/// Letters of a plan that are shown one by one.
const SHOWN_MAX: usize = 20;

/// Dead letters: what no consumer could use, as it came.
#[derive(Debug, Args)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the causes of open letters, and the newest letters.
    List {
        /// Only letters of this state.
        #[arg(long, value_enum, default_value = "open")]
        state: State,
        /// Only letters of this cause.
        #[arg(long)]
        class: Option<String>,
        /// At most this many letters.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// Show one letter and what is in it.
    Show {
        /// Its id, such as 3-17.
        id: String,
    },
    /// Send letters again to where they came from; without --yes only says what would become of each.
    Redrive {
        #[command(flatten)]
        which: Which,
        /// Send also those that would come back.
        #[arg(long)]
        include_failing: bool,
        /// Really send them.
        #[arg(long)]
        yes: bool,
    },
    /// Give letters up; without --yes only says which.
    Discard {
        #[command(flatten)]
        which: Which,
        /// Why.
        #[arg(long, value_parser = reason)]
        reason: String,
        /// Really give them up.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Open,
    Redriven,
    Discarded,
    All,
}

impl State {
    fn wanted(self) -> Option<LetterState> {
        match self {
            Self::Open => Some(LetterState::Open),
            Self::Redriven => Some(LetterState::Redriven),
            Self::Discarded => Some(LetterState::Discarded),
            Self::All => None,
        }
    }
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// These letters, such as 3-17,0-4.
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    id: Vec<String>,
    /// All open letters of this cause.
    #[arg(long)]
    class: Option<String>,
    /// All open letters.
    #[arg(long)]
    all: bool,
}

impl Which {
    fn selection(self) -> Selection {
        match self {
            Self { class: Some(class), .. } => Selection::Class(class),
            Self { all: true, .. } => Selection::All,
            Self { id, .. } => Selection::Ids(id),
        }
    }
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if (1..=500).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("must have 1 to 500 characters".into())
    }
}

impl Dlq {
    pub(super) async fn run(self, desk: &Desk) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::List { state, class, limit } => {
                let letters = desk.operations.letters(state.wanted(), class, limit.into()).await?;
                if desk.json {
                    say_json(&letters)?
                } else {
                    list(&letters)
                }
                Ok(ExitCode::SUCCESS)
            }
            Action::Show { id } => {
                let letter = desk.operations.letter(&id).await?;
                if desk.json {
                    say_json(&letter)?
                } else {
                    one(&letter)
                }
                Ok(ExitCode::SUCCESS)
            }
            Action::Redrive { which, include_failing, yes } => {
                let trial = parts::trial(&desk.ledger).await?;
                let how = (!yes, include_failing);
                let plan = desk.operations.redrive(&which.selection(), trial, &desk.actor, how).await?;
                if desk.json {
                    say_json(&plan)?
                } else {
                    redriven(&plan)
                }
                Ok(ExitCode::SUCCESS)
            }
            Action::Discard { which, reason, yes } => {
                let plan = desk.operations.discard(&which.selection(), &reason, &desk.actor, !yes).await?;
                if desk.json {
                    say_json(&plan)?
                } else {
                    discarded(&plan)
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn list(letters: &Letters) {
    say(format!("{} open, {} sent again, {} given up", letters.open, letters.redriven, letters.discarded));
    if !letters.groups.is_empty() {
        let mut shown = table(["CAUSE", "CONSUMER", "LETTERS", "FIRST", "LAST", "THE NEWEST SAYS"]);
        for one in &letters.groups {
            let fields = [&one.class, &one.consumer, &one.count.to_string(), &one.first_seen, &one.last_seen];
            shown.add_row(fields.into_iter().chain([&one.message]));
        }
        say(shown);
    }
    if letters.letters.is_empty() {
        return;
    }
    let mut shown = table(["LETTER", "STATE", "CAUSE", "TRIES", "LAST", "KEY"]);
    for one in &letters.letters {
        let state = format!("{:?}", one.state).to_uppercase();
        let key = one.key.clone().unwrap_or_default();
        shown.add_row([one.id.clone(), state, one.class.clone(), one.attempts.to_string(), one.last_seen.clone(), key]);
    }
    say(shown);
    let more = if letters.more { "There are more: --limit. " } else { "" };
    say(dim(&format!("{more}Look into one: flashsale ops dlq show {}", letters.letters[0].id)));
}

fn one(letter: &LetterDetails) {
    let LetterDetails { letter, record } = letter;
    let state = format!("{:?}", letter.state).to_uppercase();
    say(format!("{}  {state}  {}: {}", bold(&letter.id), letter.class, letter.message));
    say(format!(
        "  {} could not use it, {}, first {}, last {}",
        letter.consumer,
        count(letter.attempts.into(), "try").replace("trys", "tries"),
        letter.first_seen,
        letter.last_seen
    ));
    if let Some(source) = &letter.source {
        say(format!("  it was {}[{}]@{}", source.topic, source.partition, source.offset));
    }
    if let Some(act) = &letter.act {
        let why = act.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        say(format!("  {} by {} at {}{why}", act.action, act.by, act.at));
    }
    for (name, value) in &record.headers {
        say(dim(&format!("  {name}: {value}")));
    }
    match (&record.value, &record.hex) {
        (Some(value), _) => say(serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())),
        (None, Some(hex)) => {
            say(format!("  {} {}", yellow("!"), record.problem.as_deref().unwrap_or("cannot be decoded")));
            say(format!("  {hex}"));
        }
        (None, None) => say(dim("  it has no value")),
    }
}

fn verdict(verdict: LetterVerdict) -> String {
    match verdict {
        LetterVerdict::WouldApply => green("would apply"),
        LetterVerdict::WouldBeDuplicate => dim("would change nothing"),
        LetterVerdict::StillFailing => red("would come back"),
        LetterVerdict::WouldDiscard => "would be given up".into(),
        LetterVerdict::NotOpen => dim("was settled before"),
        LetterVerdict::UnknownLetter => red("is no letter that can be sent"),
    }
}

fn redriven(plan: &RedrivePlan) {
    for one in plan.letters.iter().take(SHOWN_MAX) {
        let detail = one.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let sent = if one.sent { "sent, " } else { "" };
        say(format!("  {} {sent}{}{detail}", bold(&one.id), verdict(one.verdict)));
    }
    if plan.letters.len() > SHOWN_MAX {
        say(dim(&format!("  and {} more; --json lists them", plan.letters.len() - SHOWN_MAX)));
    }
    say(format!(
        "{} would apply, {} would change nothing, {} would come back, {} not open",
        plan.would_apply, plan.would_be_duplicate, plan.still_failing, plan.not_open
    ));
    match (plan.dry_run, plan.letters.is_empty()) {
        (_, true) => say("No open letter is meant."),
        (true, _) => say("Nothing was sent. To send those that would not come back, add --yes."),
        (false, _) => say(format!("{} {} sent.", green("✓"), count(plan.sent as u64, "letter"))),
    }
    if plan.more {
        say("There are more than one run takes: run it again.");
    }
}

fn discarded(plan: &DiscardPlan) {
    for one in plan.letters.iter().take(SHOWN_MAX) {
        let is_done = !plan.dry_run && one.verdict == LetterVerdict::WouldDiscard;
        say(format!("  {} {}", bold(&one.id), if is_done { "given up".into() } else { verdict(one.verdict) }));
    }
    if plan.letters.len() > SHOWN_MAX {
        say(dim(&format!("  and {} more; --json lists them", plan.letters.len() - SHOWN_MAX)));
    }
    match (plan.dry_run, plan.letters.is_empty()) {
        (_, true) => say("No open letter is meant."),
        (true, _) => say("Nothing was given up. To do it, add --yes."),
        (false, _) => say(format!("{} {} given up.", green("✓"), count(plan.discarded as u64, "letter"))),
    }
    if plan.more {
        say("There are more than one run takes: run it again.");
    }
}
