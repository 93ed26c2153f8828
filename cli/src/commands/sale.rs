//! `flashsale sale`: the admin API from a terminal.

use std::process::ExitCode;

use axum::http::Method;
use clap::{Args, Subcommand, ValueEnum};
use flashsale_core::{Micros, Sku};
use flashsale_operations::positions_at;
use flashsale_platform::telemetry;
use serde_json::{Map, Value, json};

use super::{sale_at, sale_times};
use crate::{
    client::Client,
    parts,
    settings::{LOCAL_ADMIN_KEY, Settings, Sources},
    terminal::{TOOL_LOGS, USAGE, say, table},
};

/// Steers the sales of a running installation.
#[derive(Debug, Args)]
pub(crate) struct Sale {
    /// Where the installation answers.
    #[arg(long, global = true, env = "FLASHSALE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The admin key; by default that of the local stack.
    #[arg(long, global = true, env = "FLASHSALE_ADMIN_KEY", default_value = LOCAL_ADMIN_KEY, hide_env_values = true)]
    admin_key: String,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set up a sale.
    Create {
        /// What is sold: letters, digits and dashes.
        sku: Sku,
        /// Its name for people.
        #[arg(long)]
        name: String,
        /// Units.
        #[arg(long)]
        stock: u64,
        /// `now`, a span such as +10m, or a time such as 2026-11-27T09:00:00Z.
        #[arg(long, default_value = "now", value_parser = sale_times::parse)]
        start: String,
        /// Likewise.
        #[arg(long, default_value = "+1h", value_parser = sale_times::parse)]
        end: String,
        /// What a purchase must bring along, so that bots pay for each try; nothing unless it is given.
        #[arg(long, value_enum)]
        challenge: Option<Challenge>,
    },
    /// List all sales.
    List,
    /// Show one sale, now or as it stood at a time, from its log.
    Show {
        /// Which.
        sku: Sku,
        /// Show it as it stood then: a time such as 2026-11-27T09:00:00Z, or a span such as -10m.
        #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = sale_at::parse)]
        at: Option<Micros>,
    },
    /// Change a sale that has not started.
    Update {
        /// Which.
        sku: Sku,
        /// A new name.
        #[arg(long)]
        name: Option<String>,
        /// A new stock.
        #[arg(long)]
        stock: Option<u64>,
        /// A new start.
        #[arg(long, value_parser = sale_times::parse)]
        start: Option<String>,
        /// A new end.
        #[arg(long, value_parser = sale_times::parse)]
        end: Option<String>,
        /// What a purchase must bring along from now on.
        #[arg(long, value_enum)]
        challenge: Option<Challenge>,
    },
    /// Stop a sale for now.
    Pause {
        /// Which.
        sku: Sku,
    },
    /// Let a paused sale go on.
    Resume {
        /// Which.
        sku: Sku,
    },
    /// Remove a sale and its purchases, in a test environment; without --yes only says what would go.
    Delete {
        /// Which.
        sku: Sku,
        /// Really do it.
        #[arg(long)]
        yes: bool,
    },
}

/// What a purchase must bring along.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Challenge {
    /// Nothing.
    None,
    /// The solution of a puzzle, which costs a machine some time.
    ProofOfWork,
    /// The token of the configured CAPTCHA provider.
    Captcha,
}

impl Challenge {
    /// The name in the API.
    fn name(self) -> &'static str {
        match self {
            Self::None => flashsale_core::Challenge::None,
            Self::ProofOfWork => flashsale_core::Challenge::ProofOfWork,
            Self::Captcha => flashsale_core::Challenge::Captcha,
        }
        .as_str()
    }
}

fn path(sku: &Sku) -> String {
    format!("/api/v1/products/{sku}")
}

impl Sale {
    /// Does it and shows the result.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.url, &self.admin_key);
        let data = match self.action {
            Action::Create { sku, name, stock, start, end, challenge } => {
                let mut body = json!({
                    "sku": sku.as_str(), "productName": name, "initialStock": stock, "startTime": start, "endTime": end,
                });
                if let Some(challenge) = challenge {
                    body["challenge"] = challenge.name().into();
                }
                client.ask(Method::POST, "/api/v1/products", Some(&body)).await?
            }
            Action::List => client.ask(Method::GET, "/api/v1/products?limit=200", None).await?,
            Action::Show { sku, at: Some(at) } => return show_at(sources, &sku, at, self.json).await,
            Action::Show { sku, at: None } => client.ask(Method::GET, &path(&sku), None).await?,
            Action::Update { sku, name, stock, start, end, challenge } => {
                let fields = [
                    ("productName", name.map(Value::from)),
                    ("initialStock", stock.map(Value::from)),
                    ("startTime", start.map(Value::from)),
                    ("endTime", end.map(Value::from)),
                    ("challenge", challenge.map(|challenge| challenge.name().into())),
                ];
                let body: Map<String, Value> =
                    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
                client.ask(Method::PUT, &path(&sku), Some(&Value::Object(body))).await?
            }
            Action::Pause { sku } => client.ask(Method::POST, &format!("{}/pause", path(&sku)), None).await?,
            Action::Resume { sku } => client.ask(Method::POST, &format!("{}/resume", path(&sku)), None).await?,
            Action::Delete { sku, yes: true } => client.ask(Method::DELETE, &path(&sku), None).await?,
            Action::Delete { sku, yes: false } => {
                let sale = client.ask(Method::GET, &path(&sku), None).await?;
                show(&sale, self.json);
                say(format!(
                    "Nothing was deleted. To remove this sale and its purchases: flashsale sale delete {sku} --yes"
                ));
                return Ok(ExitCode::from(USAGE));
            }
        };
        show(&data, self.json);
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows a sale as it stood at a time, with how far consumers had come.
async fn show_at(sources: &Sources, sku: &Sku, at: Micros, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut settings = Settings::load(sources, false)?;
    settings.fill_from_local_stack();
    settings.require(&["brokers"])?;
    telemetry::init_logs(TOOL_LOGS, settings.log_json);
    let ledger = parts::open_ledger(&settings).await?;
    let mut consumers = Vec::new();
    for noted in positions_at(&ledger, at).await? {
        consumers.extend(
            noted
                .partitions
                .into_iter()
                .map(|one| (noted.consumer.clone(), one.topic, one.partition, Some(one.position), Some(one.end))),
        );
    }
    sale_at::show(&ledger, sku, at, &consumers, as_json).await
}

fn show(data: &Value, as_json: bool) {
    if as_json {
        return say(serde_json::to_string_pretty(data).unwrap_or_else(|_| data.to_string()));
    }
    let rows = match data {
        Value::Array(rows) => rows.as_slice(),
        one => std::slice::from_ref(one),
    };
    if rows.is_empty() {
        return say("There are no sales. Create one: flashsale sale create SKU --name NAME --stock N");
    }
    let columns = [
        ("SKU", "sku"),
        ("STATE", "state"),
        ("LEFT", "currentStock"),
        ("OF", "initialStock"),
        ("SOLD", "totalPurchases"),
        ("START", "startTime"),
        ("END", "endTime"),
        ("CHALLENGE", "challenge"),
        ("PRODUCT", "productName"),
    ];
    let mut table = table(columns.map(|(title, _)| title));
    for row in rows {
        table.add_row(columns.map(|(_, field)| match &row[field] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
    }
    say(table);
}
