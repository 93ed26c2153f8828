//! What becomes of services whose schema registry is away, and of schemas that do not fit.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_localstack::{Fault, FaultProxy};
use flashsale_schemas::Topic;
use hyper::Method;
use serde_json::json;

use super::{broker::until_it_sells, sink::SINK};
use crate::{
    Arena, Drill, Outcome,
    installation::{Service, until},
    rows::until_written,
    stage::{Cast, Stage},
    verdict::Expected,
};

/// What a service logs each time that the registry did not answer.
const WAITING: &str = "waiting for the schema registry";
/// So many pauses, which double from 0.1 s, last six seconds.
const WAITS: usize = 7;

pub(crate) const DRILLS: &[Drill] = &[Drill {
    fault: "F23",
    name: "registry-away",
    broken: "no registry when the sink and an edge start, none again once they run; a schema that does not fit",
    checked: "they wait and start once it answers, then go on with the ids they know; the schema is refused",
    quick: true,
    play: |arena, seed| Box::pin(registry_away(arena, seed)),
}];

async fn registry_away(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let cast = Cast { sinks: 0, ..Cast::default() };
    let mut stage = Stage::set(arena, seed, cast, 1_000, Duration::from_secs(600)).await?;
    // The API serves a registry, too.
    let address: SocketAddr = stage.api.url.trim_start_matches("http://").parse().context("the address of the API")?;
    let registry = FaultProxy::start(address)?;
    registry.set(Fault::Refuse);
    let url = format!("http://{}", registry.address());
    let with_registry = [("SCHEMA_REGISTRY_URL", url.as_str())];
    let sink = stage.shop.spawn(SINK, &with_registry)?;
    let edge = stage.shop.spawn(&["ingest"], &with_registry)?;
    for service in [&sink, &edge] {
        waits(&stage, service).await?;
    }
    registry.heal();
    for service in [&sink, &edge] {
        stage.shop.ready(service).await?;
    }
    until_it_sells(&stage, &edge, "first-registered").await?;
    stage.sinks.push(sink);
    stage.ingests.push(edge);
    registry.set(Fault::Refuse);
    stage.crowd("f23", 300, 100).finish().await?;
    until_written(&stage, Duration::from_secs(30)).await.context("without the registry")?;
    is_refused(&stage).await?;
    stage.figure("rows without the registry", 300);
    stage.conclude(Expected::default()).await
}

/// A service without its registry neither ends nor says that it is ready.
async fn waits(stage: &Stage, service: &Service) -> Result<()> {
    let waited = until("a service to wait for its registry", Duration::from_secs(30), async || {
        ensure!(service.ended().is_none(), "it ended:\n{}", service.log_tail());
        Ok(service.log().matches(WAITING).count() >= WAITS)
    });
    waited.await?;
    let (url, patience) = (format!("{}/health/ready", service.url), Duration::from_millis(500));
    let answer = stage.shop.client.send(Method::GET, &url, &[], None, patience).await;
    ensure!(!answer.is_ok_and(|answer| answer.status == 200), "ready without a registry");
    ensure!(service.ended().is_none(), "it ended:\n{}", service.log_tail());
    Ok(())
}

/// A schema that cannot read what the topic holds is not registered.
async fn is_refused(stage: &Stage) -> Result<()> {
    let topic = stage.shop.ledger.topic(Topic::PurchaseDecisions);
    let versions = format!("{}/subjects/{topic}-value/versions", stage.api.url);
    let before = stage.shop.client.get(&versions).await?;
    ensure!(before.status == 200, "the registry does not know the subject: {}", before.text);
    let schema = json!({
        "type": "record",
        "name": "PurchaseDecision",
        "namespace": "flashsale",
        "fields": [{ "name": "region", "type": "string" }],
    });
    let offer = json!({ "schema": schema.to_string() });
    let answer = stage.shop.client.send(Method::POST, &versions, &[], Some(&offer), Duration::from_secs(5)).await?;
    ensure!((400..500).contains(&answer.status), "the registry answered {} {}", answer.status, answer.text);
    let after = stage.shop.client.get(&versions).await?;
    ensure!(before.text == after.text, "the versions were {}, and are {}", before.text, after.text);
    Ok(())
}
